// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import KeyvaneClient
import Testing

@Suite("Values")
struct ModelTests {
    @Test("a cursor keeps its mark and is read from numbers and texts")
    func cursor() throws {
        #expect(WatchCursor("57-9f3a01c2")?.revision == 57)
        #expect(WatchCursor("57-9f3a01c2")?.description == "57-9f3a01c2")
        #expect(WatchCursor("57") == WatchCursor(revision: 57))
        #expect(WatchCursor("57-a") != WatchCursor("57-b"))
        for text in ["", "x", "-5", "5x-a", "-"] { #expect(WatchCursor(text) == nil) }
        let cursors = try JSONDecoder().decode([WatchCursor].self, from: Data(#"[57,"57-a"]"#.utf8))
        #expect(cursors == [WatchCursor(revision: 57), WatchCursor("57-a")])
        #expect(String(decoding: try JSONEncoder().encode(cursors), as: UTF8.self) == #"[57,"57-a"]"#)
    }

    @Test("a configuration follows the changes and survives storing")
    func configuration() throws {
        var configuration = EnvironmentConfiguration(GoldenMessages.snapshot(5, ["A": "1", "B": "2"]))
        configuration.apply(GoldenMessages.changes(5, 8, [("A", "9"), ("B", nil), ("C", "3")]))
        #expect(configuration["A"] == "9")
        #expect(configuration["B"] == nil)
        #expect(configuration.values == ["A": "9", "C": "3"])
        #expect(configuration.entries.map(\.name) == ["A", "C"])
        #expect(configuration.entry("C")?.revision == 8)
        #expect(configuration.revision == 8)
        #expect(configuration.cursor == GoldenMessages.cursor(8))
        #expect(!configuration.isEmpty)
        let stored = try JSONEncoder().encode(configuration)
        #expect(try JSONDecoder().decode(EnvironmentConfiguration.self, from: stored) == configuration)
    }

    @Test("values have types, and a fault names the entry and not its value")
    func types() throws {
        let values = ["PORT": "8080", "RATIO": "0.5", "ON": "yes", "OFF": "0", "ODD": "s3cret"]
        let configuration = EnvironmentConfiguration(GoldenMessages.snapshot(5, values))
        #expect(try configuration.value("PORT", as: Int.self) == 8080)
        #expect(try configuration.value("RATIO") == 0.5)
        #expect(try configuration.required("ON") == true)
        #expect(try configuration.required("OFF") == false)
        #expect(try configuration.value("NONE", as: Int.self) == nil)
        for attempt in [{ _ = try configuration.value("ODD", as: Int.self) }, { _ = try configuration.required("NONE", as: String.self) }] {
            do {
                try attempt()
                Issue.record("it was read")
            } catch let error as ClientError {
                #expect(["invalid_value", "missing_value"].contains(error.code) && !"\(error)".contains("s3cret"))
            }
        }
    }

    @Test("settings never show the token")
    func settings() {
        let settings = ClientSettings(url: "https://config.example.com", token: "kv_secret")
        var dumped = ""
        dump(settings, to: &dumped)
        for text in ["\(settings)", String(reflecting: settings), dumped, "\([settings])"] {
            #expect(text.contains("config.example.com"))
            #expect(!text.contains("kv_secret"))
        }
    }

    @Test(
        "a URL that is none is refused before anything is sent",
        arguments: ["", "config.example.com", "ftp://x", "https://", "https://me:pw@x", "https://x?y=1", "https://x#y", "http://a b"]
    )
    func url(text: String) {
        #expect { try ConfigurationClient(ClientSettings(url: text, token: "t")) } throws: {
            ($0 as? ClientError)?.code == "invalid_url"
        }
    }

    @Test("a token that could break out of its header is refused", arguments: ["", "a b", "a\r\nHost: x", "ä"])
    func token(text: String) {
        #expect { try ConfigurationClient(ClientSettings(url: "http://localhost", token: text)) } throws: {
            ($0 as? ClientError)?.code == "invalid_token"
        }
    }

    @Test("an error says what, where and what to do, in one line")
    func error() {
        let error = ClientError(
            code: "invalid_value",
            message: "Two values can't be stored.",
            errors: [
                ClientError.Fault(pointer: "/set/0/value", detail: "has a NUL"), ClientError.Fault(pointer: "/set/1", detail: "is long"),
            ]
        )
        #expect("\(error)" == "invalid_value: Two values can't be stored. (/set/0/value: has a NUL; /set/1: is long)")
        #expect("\(ClientError(code: "timeout", message: "No answer."))" == "timeout: No answer.")
    }
}
