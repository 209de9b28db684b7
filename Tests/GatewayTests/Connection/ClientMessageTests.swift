// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Gateway
import Store
import Testing

@Suite struct ClientMessageTests {
    private func parse(_ text: String) throws -> ClientMessage {
        try ClientMessage(parsing: Array(text.utf8).span)
    }

    private func fault(_ text: String) -> ClientMessage.Fault? {
        do throws(ClientMessage.Fault) {
            _ = try ClientMessage(parsing: Array(text.utf8).span)
            return nil
        } catch {
            return error
        }
    }

    @Test(arguments: [
        "", "nonsense", "[]", "1", "\"text\"", "{", "{}", #"{"type":1}"#, #"{"type":"dance"}"#, #"{"type":"authenticate"}"#,
        #"{"type":"authenticate","token":7}"#, #"{"type":"subscribe"}"#, #"{"type":"subscribe","environment":7}"#,
        #"{"type":"subscribe","id":[],"environment":"a/b/c"}"#, #"{"type":"ack","environment":"a/b/c"}"#,
        #"{"type":"ack","environment":"a/b/c","revision":-1,"status":"applied"}"#,
        #"{"type":"ack","environment":"a/b/c","revision":1,"status":"done"}"#,
        #"{"type":"ack","environment":"a/b/c","revision":1,"status":"failed","message":7}"#,
        #"{"type":"authenticate","token":"x"} x"#, #"{"type":"authenticate","type":"authenticate","token":"x"}"#,
        #"{"type":"authenticate","token":"\ud800"}"#, #"{"type":"authenticate","token":"x",}"#,
        "{\"type\":\"authenticate\",\"token\":\"a\nb\"}",
        #"{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":1}}}}}}}}}"#,
    ])
    func badMessages(text: String) {
        guard case .bad? = fault(text) else {
            Issue.record("taken: \(text)")
            return
        }
    }

    @Test(arguments: [
        #""environment":"a/b""#, #""environment":"A/b/c""#, #""environment":"a/b/c","since":-1"#, #""environment":"a/b/c","since":1.5"#,
        #""environment":"a/b/c","since":"57-xyz""#, #""environment":"a/b/c","since":true"#, #""environment":"a/b/c","names":"A_*""#,
        #""environment":"a/b/c","names":[]"#, #""environment":"a/b/c","names":[1]"#, #""environment":"a/b/c","names":["A B"]"#,
        #""environment":"a/b/c","acks":"yes""#,
    ])
    func refusedSubscriptionsKeepTheirID(members: String) {
        guard case .refused(let id, let environment, _)? = fault(#"{"type":"subscribe","id":"x-1",\#(members)}"#) else {
            Issue.record("not refused: \(members)")
            return
        }
        #expect(id == .text("x-1"))
        #expect(environment != nil)
    }

    @Test func understandsWhatStandardsAllow() throws {
        let text =
            " {\n\t\"environment\" : \"a\\/b\\u002fc\" , \"type\":\"subscribe\", \"since\":12, \"later\":{\"x\":[1,2.5e3,null,true]}, \"id\":null } "
        let path = try EnvironmentPath(parsing: "a/b/c")
        #expect(try parse(text) == .subscribe(SubscribeRequest(environment: path, since: ResumePoint(revision: 12))))
        #expect(JSONValue(parsing: Array(#""\ud83d\ude00 é""#.utf8).span) == .string("😀 é"))
        #expect(JSONValue(parsing: Array("-0".utf8).span) == .integer(0))
        #expect(JSONValue(parsing: Array("99999999999999999999".utf8).span) == .number)
        for wrong in ["01", "1.", ".5", "+1", "1e", "tru", "nul", "'x'", "[1,]", "\"\\x\"", "NaN"] {
            #expect(JSONValue(parsing: Array(wrong.utf8).span) == nil)
        }
    }

    @Test func manyGlobsAreRefused() {
        let globs = Array(repeating: #""A_*""#, count: 101).joined(separator: ",")
        guard case .refused? = fault(#"{"type":"subscribe","environment":"a/b/c","names":[\#(globs)]}"#) else {
            Issue.record("101 globs were taken")
            return
        }
    }
}
