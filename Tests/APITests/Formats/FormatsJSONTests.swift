// Keyvane
// SPDX-License-Identifier: Apache-2.0

import API
import Testing

@Suite struct FormatsJSONTests {
    @Test func readsAFlatMap() {
        let outcome = FormatSamples.read("\u{FEFF}{\"B\": \"x\\n\", \"A\": \"\", \"entries\": \"x\", \"revision\": \"y\"}\n", .json)
        #expect(outcome.faults == [])
        #expect(outcome.pairs.map(\.name) == ["B", "A", "entries", "revision"])
        #expect(outcome.values == ["x\n", "", "x", "y"])
        #expect(outcome.places == ["/B", "/A", "/entries", "/revision"])
        #expect(FormatSamples.read("{}", .json).faults == [])
    }

    @Test func readsAConfigurationAsItIsAnswered() throws {
        let text = """
            {"environment":"a/b/c","environmentId":"3f1c","revision":7,"cursor":"c-7","entries":[
            {"name":"A","value":"x","isSecret":false,"version":1,"revision":3},
            {"name":"B","value":"y","isSecret":true,"version":2,"revision":7},{"value":"z","name":"C"}],"withheld":2}
            """
        let entries = try ConfigurationImport.parse(Array(text.utf8), as: .json)
        #expect(
            entries == [
                ImportedEntry(name: "A", value: "x", isSecret: false, place: "/entries/0"),
                ImportedEntry(name: "B", value: "y", isSecret: true, place: "/entries/1"),
                ImportedEntry(name: "C", value: "z", isSecret: nil, place: "/entries/2"),
            ]
        )
        #expect(FormatSamples.read("{\"entries\":[]}", .json).faults == [])
    }

    @Test(arguments: [
        ("", ": is not JSON: the body is empty (line 1, byte 0)"), ("{", "is not JSON"), ("{\"A\":\"b\"", "is not JSON"),
        ("{}{}", "is not JSON"),
        ("[]", ": must be a configuration or a flat map of names to text, not an array"), ("\"x\"", "not text"), ("null", "not null"),
        ("{\n\"A\":\"b\",\n\"A\":\"c\"}", "a name comes twice in one object (line 3, byte 11)"),
        ("{\"A\":1}", "/A: must be text, not a number; put it in quotes"),
        ("{\"A\":true}", "/A: must be text, not a boolean; put it in quotes"),
        ("{\"A\":null}", "/A: must be text, not null; write \"\" for an empty value"),
        ("{\"A\":{}}", "/A: must be text, not an object"), ("{\"A\":[]}", "/A: must be text, not an array"),
        ("{\"1\":\"b\"}", "/1: has no valid name"),
        ("{\"a/b~c\":\"b\"}", "/a~1b~0c: has no valid name"), ("{\"A\":\"\\u0000\"}", "/A: sets A to text with a NUL character"),
        ("{\"entries\":{}}", "/entries: must be text, not an object"),
        ("{\"entries\":[],\"x\":1}", "/x: is unknown; allowed are cursor, entries, environment"),
        ("{\"entries\":[],\"revision\":\"1\"}", "/revision: must be a whole number, not text"),
        ("{\"entries\":[],\"environment\":1}", "/environment: must be text"),
        ("{\"entries\":[1]}", "/entries/0: must be an object, not a number"),
        ("{\"entries\":[{\"name\":\"A\"}]}", "/entries/0: needs a name and a value"),
        ("{\"entries\":[{\"name\":\"A\",\"value\":null}]}", "/entries/0/value: must be text, not null"),
        ("{\"entries\":[{\"name\":\"A\",\"value\":\"b\",\"isSecret\":1}]}", "/entries/0/isSecret: must be true or false, not a number"),
        (
            "{\"entries\":[{\"name\":\"A\",\"value\":\"b\",\"note\":\"c\"}]}",
            "/entries/0/note: is unknown; allowed are isSecret, name, revision, value, version"
        ),
        ("{\"entries\":[{\"name\":\"A B\",\"value\":\"b\"}]}", "/entries/0: has no valid name"),
        (
            "{\"entries\":[{\"name\":\"A\",\"value\":\"b\"},{\"name\":\"A\",\"value\":\"b\"}]}",
            "/entries/1: sets A, which /entries/0 sets already"
        ),
    ])
    func refuses(_ text: String, _ fault: String) {
        let outcome = FormatSamples.read(text, .json)
        #expect(outcome.faults.contains { $0.contains(fault) }, "\(outcome.faults)")
        #expect(outcome.pairs == [])
    }

    @Test func tellsAllFaultsInTheirOrderAndAHundredAtMost() {
        let outcome = FormatSamples.read("{\"x\":1,\"entries\":[{\"name\":1,\"y\":2},3,{\"name\":\"A\",\"value\":\"b\"}],\"z\":1}", .json)
        #expect(outcome.faultPlaces == ["/x", "/z", "/entries/0/name", "/entries/0/y", "/entries/1"])
        let map = "{" + (0..<1000).map { "\"A\($0)\":\($0)" }.joined(separator: ",") + "}"
        #expect(FormatSamples.read(map, .json).faults.count == 100)
        let long = String(repeating: "no name ", count: 100)
        #expect(FormatSamples.read("{\"\(long)\":\"b\"}", .json).faultPlaces == ["/" + long.prefix(64) + "…"])
    }

    @Test func formatsThatCannotBeImportedNameThoseThatCan() {
        for format in [ConfigurationFormat.shell, .kubernetes] {
            #expect(
                FormatSamples.read("A=b", format).faults == [
                    "the document: is in the format \(format.rawValue), which can't be imported; import one of json, dotenv, yaml"
                ]
            )
        }
    }
}
