// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import KeyvaneClient
import NIOCore
import Testing

@Suite("Wire messages")
struct WireMessageTests {
    @Test("from the gateway are read as they are written in the golden files")
    func golden() throws {
        let environment = GoldenMessages.environment
        guard case .ready(let ready) = try GoldenMessages.message("ready") else { throw Unexpected() }
        #expect(ready.connection.connection == "c-00000042")
        #expect(ready.connection.gateway == "gateway-1")
        #expect(ready.heartbeat == .seconds(20))
        #expect(try GoldenMessages.message("subscribed") == .subscribed(id: 1, environment: environment))
        #expect(try GoldenMessages.message("heartbeat") == .heartbeat(heads: [environment: GoldenMessages.cursor(59, "0b77e1d4")]))
        #expect(try GoldenMessages.message("unsubscribed") == .unsubscribed(environment: environment))

        guard case .snapshot(let snapshot) = try GoldenMessages.message("snapshot") else { throw Unexpected() }
        #expect(snapshot.revision == 57)
        #expect(snapshot.cursor.description == "57-9f3a01c2")
        #expect(snapshot.environmentId == GoldenMessages.environmentId)
        #expect(
            snapshot.entries == [
                ConfigurationEntry(name: "DB_HOST", value: "10.0.0.5", isSecret: false, version: 2, revision: 31),
                ConfigurationEntry(name: "DB_PASSWORD", value: "pa\"ss\\wört\n", isSecret: true, version: 1, revision: 12),
            ]
        )

        guard case .changes(let changes) = try GoldenMessages.message("changes") else { throw Unexpected() }
        #expect(changes.previousRevision == 57)
        #expect(changes.revision == 59)
        let at = "2026-01-31T12:00:00.125Z"
        let by = "token:ab12cd34"
        #expect(
            changes.changes == [
                WatchChange(
                    op: .set,
                    name: "DB_HOST",
                    value: "10.0.0.9",
                    isSecret: false,
                    version: 3,
                    revision: 58,
                    at: at,
                    by: by
                ),
                WatchChange(op: .delete, name: "OLD", value: nil, isSecret: false, version: 4, revision: 59, at: at, by: by),
            ]
        )
        guard case .changes(let none) = try GoldenMessages.message("changes-empty") else { throw Unexpected() }
        #expect(none.changes.isEmpty)

        guard case .error(let refusal) = try GoldenMessages.message("error") else { throw Unexpected() }
        #expect(refusal.code == "environment_not_found")
        #expect(refusal.id == 1)
        guard case .closing(let closing) = try GoldenMessages.message("closing") else { throw Unexpected() }
        #expect(closing.reason == "drain")
        #expect(closing.reconnectAfterMs == 750)
    }

    @Test("to the gateway are written as in the golden files")
    func clientMessages() throws {
        let subscription = WatchSubscription(
            environment: GoldenMessages.environment,
            since: WatchCursor("57-9f3a01c2"),
            names: ["FEATURE_*"],
            acknowledges: true
        )
        try expectGolden("client-subscribe", .subscribe(id: 1, subscription))
        let acknowledgement = ClientMessage.Acknowledgement(
            environment: GoldenMessages.environment,
            revision: 59,
            status: .failed("the port is taken")
        )
        try expectGolden("client-ack", .acknowledge(acknowledgement))
    }

    @Test("leave out what isn't asked for, and keep an acknowledgement's text short")
    func smallMessages() throws {
        let plain = try object(.subscribe(id: 7, WatchSubscription(environment: "a/b/c")))
        #expect(plain == ["type": "subscribe", "id": 7, "environment": "a/b/c"] as NSDictionary)
        let byNumber = try object(.subscribe(id: 7, WatchSubscription(environment: "a/b/c", since: WatchCursor(revision: 5))))
        #expect(byNumber["since"] as? Int == 5)
        let long = ClientMessage.Acknowledgement(environment: "a/b/c", revision: 1, status: .failed(String(repeating: "x", count: 99_999)))
        #expect((try object(.acknowledge(long))["message"] as? String)?.count == 1_000)
    }

    @Test("of unknown types and with unknown fields are left alone")
    func newer() throws {
        #expect(try ServerMessage(json: ByteBuffer(string: #"{"type":"weather","x":[1]}"#)) == .unknown(type: "weather"))
        let unsubscribed = try ServerMessage(json: ByteBuffer(string: #"{"type":"unsubscribed","environment":"e","why":{}}"#))
        #expect(unsubscribed == .unsubscribed(environment: "e"))
    }

    @Test("that are no messages are refused", arguments: ["", "{", "[]", "{}", #"{"type":5}"#, #"{"type":"changes"}"#, "null", "\u{FF}"])
    func malformed(text: String) {
        #expect(throws: (any Error).self) { try ServerMessage(json: ByteBuffer(string: text)) }
    }

    @Test("cut anywhere are refused, never misread")
    func truncated() throws {
        let text = Array(try GoldenMessages.text("changes").utf8)
        for length in 0..<text.count {
            #expect(throws: (any Error).self) { try ServerMessage(json: ByteBuffer(bytes: text[..<length])) }
        }
    }

    private struct Unexpected: Error {}

    private func expectGolden(_ name: String, _ message: ClientMessage) throws {
        let golden = try JSONSerialization.jsonObject(with: Data(try GoldenMessages.text(name).utf8)) as? NSDictionary
        #expect(try object(message) == golden)
    }

    private func object(_ message: ClientMessage) throws -> NSDictionary {
        let json = Data(Array(buffer: try message.json()))
        return try #require(try JSONSerialization.jsonObject(with: json) as? NSDictionary)
    }
}
