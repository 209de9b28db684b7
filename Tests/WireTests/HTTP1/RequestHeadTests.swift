// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Testing
import Wire

@Suite struct RequestHeadTests {
    @Test func readsAWholeHeadHoweverItIsCut() throws {
        let text =
            "POST /v1/a%20b?x=1&y=2 HTTP/1.1\r\nHost: example.com:8080\r\nContent-Length:\t12 \r\n"
            + "X-Empty:\r\nCookie: a=1; b=2\r\nExpect: 100-Continue\r\nConnection: keep-alive, X-Hop\r\nX-Latin: \u{E9}\r\n\r\n"
        let outcomes = requestOutcomes(text + "body of the ")
        try #require(outcomes.count == 1)
        guard case .request(let head) = outcomes[0] else {
            Issue.record("\(outcomes[0])")
            return
        }
        #expect(head.length == text.utf8.count)
        #expect(head.method == .post && head.methodText == "POST")
        #expect(head.target == "/v1/a%20b?x=1&y=2" && head.path == "/v1/a%20b" && head.query == "x=1&y=2")
        #expect(head.version == .http11 && head.framing == .length(12))
        #expect(head.isPersistent && !head.wantsUpgrade && head.expectsContinue)
        #expect(
            head.fields == [
                "Host=example.com:8080", "Content-Length=12", "X-Empty=", "Cookie=a=1; b=2", "Expect=100-Continue",
                "Connection=keep-alive, X-Hop", "X-Latin=\u{E9}",
            ]
        )
    }

    @Test(
        arguments: [
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", BodyFraming.none, true),
            ("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", .none, false),
            ("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, CLOSE\r\n\r\n", .none, false),
            ("GET / HTTP/1.1\r\nHost: a\r\nConnection: x\r\nConnection: close\r\n\r\n", .none, false),
            ("GET / HTTP/1.1\r\nHost: a\r\nConnection: closed\r\n\r\n", .none, true),
            ("GET / HTTP/1.0\r\n\r\n", .none, false),
            ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", .none, true),
            ("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", .none, false),
            ("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", .chunked, true),
            ("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", .length(0), true),
            ("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 007\r\n\r\n", .length(7), true),
            ("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775807\r\n\r\n", .length(9_223_372_036_854_775_807), true),
            ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", .none, true),
            ("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", .none, true),
        ]
    )
    func decidesFramingAndPersistence(text: String, framing: BodyFraming, isPersistent: Bool) {
        let outcomes = requestOutcomes(text)
        #expect(outcomes.count == 1)
        guard case .request(let head)? = outcomes.first else {
            Issue.record("\(outcomes)")
            return
        }
        #expect(head.framing == framing && head.isPersistent == isPersistent && head.length == text.utf8.count)
    }

    @Test(arguments: HTTPMethod.allCases.filter { $0 != .connect && $0 != .other })
    func knowsItsMethods(method: HTTPMethod) {
        let outcome = requestOutcome([UInt8]("\(method.text) / HTTP/1.1\r\nHost: a\r\n\r\n".utf8))
        guard case .request(let head) = outcome else {
            Issue.record("\(outcome)")
            return
        }
        #expect(head.method == method)
    }

    @Test(arguments: ["get", "PROPFIND", "M-SEARCH", "G", "GETS", "CONNECTS"])
    func otherTokensAreOtherMethods(method: String) {
        let outcome = requestOutcome([UInt8]("\(method) / HTTP/1.1\r\nHost: a\r\n\r\n".utf8))
        guard case .request(let head) = outcome else {
            Issue.record("\(outcome)")
            return
        }
        #expect(head.method == .other && head.methodText == method)
    }

    @Test func aParserIsUsedAgainForTheNextHead() throws {
        var parser = RequestHeadParser()
        let first = [UInt8]("GET /1?q HTTP/1.0\r\nConnection: close\r\nContent-Length: 3\r\n\r\n".utf8)
        let second = [UInt8]("GET /2 HTTP/1.1\r\nHost: b\r\n\r\n".utf8)
        #expect(try parser.parse(first) == .complete(length: first.count))
        #expect(try parser.parse(Array(second[..<9])) == .incomplete)
        #expect(try parser.parse(second) == .complete(length: second.count))
        #expect(RequestSummary(parser.head, second) == summary(second))

        #expect(try parser.parse(Array(first[..<20])) == .incomplete)
        parser.reset()
        #expect(try parser.parse(second) == .complete(length: second.count))
        #expect(RequestSummary(parser.head, second) == summary(second))
        #expect(throws: HTTPFault.foldedLine) { try parser.parse([UInt8]("GET / HTTP/1.1\r\n ".utf8)) }
        parser.reset()
        #expect(try parser.parse(second) == .complete(length: second.count))
        #expect(RequestSummary(parser.head, second) == summary(second))
    }

    private func summary(_ bytes: [UInt8]) -> RequestSummary? {
        guard case .request(let summary) = requestOutcome(bytes) else { return nil }
        return summary
    }

    @Test func looksUpFieldsWithoutCase() throws {
        let bytes = [UInt8](
            ("GET / HTTP/1.1\r\nhOsT: a\r\nX-One: 1\r\nx-one: 2\r\nConnection: upgrade , x-one\r\nconnection:te,,\r\n"
                + "UPGRADE: foo, WebSocket\r\nCOOKIE: c\r\nTE: x\r\n\r\n").utf8
        )
        var parser = RequestHeadParser()
        _ = try parser.parse(bytes)
        let fields = parser.head.fields
        #expect(fields.string(.host, in: bytes) == "a")
        #expect(fields.string("X-ONE", in: bytes) == "1")
        #expect(fields.all("X-ONE", in: bytes).map { bytes.text($0) } == ["1", "2"])
        #expect(fields.all(.connection).count == 2 && fields.count(of: .connection) == 2)
        #expect(fields.contains(.cookie) && !fields.contains(.authorization))
        #expect(fields.first(.authorization) == nil && fields.first("nope", in: bytes) == nil)
        #expect(fields.hasToken("websocket", in: .upgrade, of: bytes))
        #expect(fields.hasToken("TE", in: .connection, of: bytes))
        #expect(!fields.hasToken("web", in: .upgrade, of: bytes))
        #expect(parser.head.wantsUpgrade)
        var nominated: [String] = []
        for field in fields where fields.isNominatedByConnection(field, in: bytes.span) {
            nominated.append(field.name(in: bytes.span))
        }
        #expect(nominated == ["X-One", "x-one", "UPGRADE", "TE"])
        var elements: [String] = []
        fields.forEachElement(of: .connection, in: bytes.span) { elements.append(bytes.span.string($0)) }
        #expect(elements == ["upgrade", "x-one", "te"])
    }

    @Test(arguments: HTTPFieldName.allCases)
    func everyKnownNameIsRecognised(name: HTTPFieldName) throws {
        #expect(HTTPFieldName("\(name.text)") == name)
        #expect(HTTPFieldName("\(name.text)".uppercased()) == name)
        #expect(HTTPFieldName("\(name.text)x") == nil)
        #expect(HTTPFieldName.allCases.count <= 64)
    }
}
