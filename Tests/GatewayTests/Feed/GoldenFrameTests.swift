// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Gateway
import Store
import Testing

/// The client reads the same files: they keep both sides of the protocol in step.
@Suite struct GoldenFrameTests {
    private static let id = "5b1f0c1e-6d0e-4f5c-9a57-3c1f2d7e8a90"
    private let encoder = FrameEncoder(environment: "acme/web/production", id: id, deflater: nil)
    private let at = Timestamp(milliseconds: 1_769_860_800_125)

    private func golden(_ name: String) throws -> String {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let text = try String(contentsOf: folder.appending(path: "Golden/watch/\(name).json"), encoding: .utf8)
        return text.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    private func text(_ frame: [UInt8]) throws -> String {
        let messages = textMessages(frame)
        #expect(messages.count == 1)
        return String(decoding: try #require(messages.first), as: UTF8.self)
    }

    private func change(_ revision: Int64, _ name: String, _ value: String?, version: Int64, mark: UInt32) throws -> Change {
        Change(
            environmentID: try #require(UUID(uuidString: Self.id)),
            revision: revision,
            first: 58,
            last: 59,
            mark: mark,
            name: name,
            kind: .variable,
            op: value == nil ? .delete : .set,
            value: value.map { .plain($0) },
            version: version,
            at: at,
            by: "token:ab12cd34"
        )
    }

    @Test func snapshot() throws {
        let entries = [
            SnapshotEntry(name: "DB_HOST", kind: .variable, value: .plain("10.0.0.5"), version: 2, revision: 31),
            SnapshotEntry(name: "DB_PASSWORD", kind: .secret, value: .sealed("sealed:v1:x"), version: 1, revision: 12),
        ]
        let frame = try encoder.snapshot(Cursor(revision: 57, mark: 0x9f3a_01c2), entries: entries) { name, version, sealed in
            #expect((name, version, sealed) == ("DB_PASSWORD", 1, "sealed:v1:x"))
            return "pa\"ss\\wört\n"
        }
        #expect(try text(frame) == (try golden("snapshot")))
    }

    @Test func changes() throws {
        let changes = [
            try change(58, "DB_HOST", "10.0.0.9", version: 3, mark: 1), try change(59, "OLD", nil, version: 4, mark: 0x0b77_e1d4),
        ]
        let frame = try encoder.changes(from: 57, to: Cursor(revision: 59, mark: 0x0b77_e1d4), changes) { _, _, _ in "" }
        #expect(try text(frame) == (try golden("changes")))
    }

    @Test func noChanges() throws {
        let frame = try encoder.changes(from: 59, to: Cursor(revision: 59, mark: 0x0b77_e1d4), []) { _, _, _ in "" }
        #expect(try text(frame) == (try golden("changes-empty")))
    }

    @Test func messagesOfTheConnection() throws {
        let environment = WatchedEnvironment(path: try EnvironmentPath(parsing: "acme/web/production"), id: Self.id)
        let ready = SessionFrames(.webSocket).ready(connection: "c-00000042", gateway: "gateway-1", heartbeat: .seconds(20))
        #expect(try text(ready) == (try golden("ready")))
        #expect(try text(SessionFrames(.webSocket).subscribed(id: .number(1), environment: environment)) == (try golden("subscribed")))
        let heads = [(environment: "acme/web/production", cursor: Cursor(revision: 59, mark: 0x0b77_e1d4))]
        #expect(try text(SessionFrames(.webSocket).heartbeat(heads)) == (try golden("heartbeat")))
        #expect(try text(SessionFrames(.webSocket).unsubscribed(environment: "acme/web/production")) == (try golden("unsubscribed")))
        #expect(try text(SessionFrames(.webSocket).closing("drain", reconnectAfter: 750)) == (try golden("closing")))
        let error = SessionFrames(.webSocket).error(
            code: AttachRefusal.notFound.rawValue,
            message: AttachRefusal.notFound.message("acme/web/production"),
            id: .number(1),
            environment: "acme/web/production"
        )
        #expect(try text(error) == (try golden("error")))
    }

    @Test func messagesOfTheClient() throws {
        let production = try EnvironmentPath(parsing: "acme/web/production")
        func parsed(_ name: String) throws -> ClientMessage { try ClientMessage(parsing: Array(try golden(name).utf8).span) }
        #expect(try parsed("client-authenticate") == .authenticate(token: "kv_ab12cd34_" + String(repeating: "A", count: 43)))
        let request = SubscribeRequest(
            id: .number(1),
            environment: production,
            since: ResumePoint(revision: 57, mark: 0x9f3a_01c2),
            names: NameSet([try #require(NameGlob("FEATURE_*"))]),
            acks: true
        )
        #expect(try parsed("client-subscribe") == .subscribe(request))
        #expect(try parsed("client-unsubscribe") == .unsubscribe(id: .number(2), environment: "acme/web/production"))
        let ack = ClientMessage.ack(environment: "acme/web/production", revision: 59, status: .failed, message: "the port is taken")
        #expect(try parsed("client-ack") == ack)
    }
}
