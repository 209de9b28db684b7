// Keyvane
// SPDX-License-Identifier: Apache-2.0

import KeyvaneClient
import NIOCore
import NIOHTTP1
import NIOWebSocket
import Testing

@Suite("A watch against a scripted gateway", .timeLimit(.minutes(2)))
struct WatchTests {
    private static let environment = GoldenMessages.environment
    private static let problem = ScriptedGateway.Answer(
        status: .unauthorized,
        headers: ["content-type": "application/problem+json"],
        body: #"{"type":"about:blank","title":"Unauthorized","status":401,"code":"unauthenticated","detail":"The token has expired."}"#
    )

    @Test("upgrades, subscribes and tells what comes", arguments: [false, true])
    func golden(holdsBackUpgrade: Bool) async throws {
        try await ScriptedGateway.run(holdsBackUpgrade: holdsBackUpgrade) { _, socket in
            try await socket.send(try GoldenMessages.text("ready"))
            let message = try await socket.subscribe()
            #expect(
                message
                    == ScriptedSocket.Message(type: "subscribe", id: 1, environment: Self.environment, names: ["DB_*", "OLD"], acks: true)
            )
            for name in ["snapshot", "changes", "changes-empty", "heartbeat"] { try await socket.send(try GoldenMessages.text(name)) }
            _ = try await socket.closeCode()
        } _: { gateway in
            let watch = try gateway.client().events(Self.environment, names: ["DB_*", "OLD"], acknowledges: true)
            var events = watch.makeAsyncIterator()
            #expect(try await events.next() == .connected(WatchConnection(connection: "c-00000042", gateway: "gateway-1")))
            guard case .snapshot(let snapshot) = try await events.next() else { throw ScriptedSocket.Closed() }
            var configuration = EnvironmentConfiguration(snapshot)
            guard case .changes(let changes) = try await events.next() else { throw ScriptedSocket.Closed() }
            configuration.apply(changes)
            #expect(configuration["DB_HOST"] == "10.0.0.9")
            #expect(configuration.revision == 59)
            guard case .changes(let none) = try await events.next() else { throw ScriptedSocket.Closed() }
            #expect(none.changes.isEmpty)
            let head = try #require(gateway.calls.first?.head)
            #expect(head.uri == "/v1/watch")
            #expect(head.headers["authorization"] == ["Bearer kv_test"])
            #expect(head.headers["sec-websocket-protocol"] == ["keyvane.v1"])
            #expect(head.headers["host"] == ["127.0.0.1:\(gateway.port)"])
        }
    }

    @Test("comes back after a drop and resumes at the last heartbeat's place")
    func resume() async throws {
        try await ScriptedGateway.run { connection, socket in
            let message = try await socket.subscribe()
            switch connection {
            case 0:
                #expect(message.since == nil)
                try await socket.send(try GoldenMessages.json(GoldenMessages.snapshot(5, ["A": "1"])))
                try await socket.send(#"{"type":"heartbeat","heads":{"\#(Self.environment)":"7-h"}}"#)
                try await socket.settle()
            case 1:
                #expect(message.since == WatchCursor("7-h"))
                try await socket.send(try GoldenMessages.json(GoldenMessages.changes(7, 8, [("A", "2")])))
                try await socket.settle()
            default:
                #expect(message.since == GoldenMessages.cursor(8))
                try await socket.send(try GoldenMessages.json(GoldenMessages.changes(8, 8, [])))
                _ = try await socket.closeCode()
            }
        } _: { gateway in
            var events = try gateway.client().events(Self.environment).makeAsyncIterator()
            #expect(try await events.next() == .snapshot(GoldenMessages.snapshot(5, ["A": "1"])))
            guard case .disconnected(let interruption) = try await events.next() else { throw ScriptedSocket.Closed() }
            #expect(interruption.error.code == "connection_lost")
            #expect(try await events.next() == .changes(GoldenMessages.changes(7, 8, [("A", "2")])))
            guard case .disconnected = try await events.next() else { throw ScriptedSocket.Closed() }
            #expect(try await events.next() == .changes(GoldenMessages.changes(8, 8, [])))
        }
    }

    @Test("notices a gap and starts over on the same connection")
    func gap() async throws {
        try await ScriptedGateway.run { _, socket in
            try await socket.subscribe()
            try await socket.send(try GoldenMessages.json(GoldenMessages.snapshot(5, ["A": "1"])))
            try await socket.send(try GoldenMessages.json(GoldenMessages.changes(6, 7, [("A", "7")])))
            let again = try await socket.receive()
            #expect(again == ScriptedSocket.Message(type: "subscribe", id: 2, environment: Self.environment))
            try await socket.send(try GoldenMessages.json(GoldenMessages.changes(7, 8, [("A", "8")])))
            try await socket.send(GoldenMessages.subscribed(2))
            try await socket.send(try GoldenMessages.json(GoldenMessages.snapshot(9, ["A": "9"])))
            _ = try await socket.closeCode()
        } _: { gateway in
            var events = try gateway.client().events(Self.environment).makeAsyncIterator()
            #expect(try await events.next() == .snapshot(GoldenMessages.snapshot(5, ["A": "1"])))
            #expect(try await events.next() == .snapshot(GoldenMessages.snapshot(9, ["A": "9"])))
            #expect(gateway.calls.count == 1)
        }
    }

    @Test("keeps to the delay that a draining gateway announces")
    func drain() async throws {
        try await ScriptedGateway.run { connection, socket in
            try await socket.subscribe()
            try await socket.send(try GoldenMessages.json(GoldenMessages.snapshot(connection, [:])))
            guard connection == 0 else {
                _ = try await socket.closeCode()
                return
            }
            try await socket.send(#"{"type":"closing","reason":"drain","reconnectAfterMs":123}"#)
            try await socket.close(1_012, "drain")
        } _: { gateway in
            // Before the gateway can have closed, however late this test hears of it.
            let start = ContinuousClock.now
            var events = try gateway.client().events(Self.environment).makeAsyncIterator()
            #expect(try await events.next() == .snapshot(GoldenMessages.snapshot(0, [:])))
            guard case .disconnected(let interruption) = try await events.next() else { throw ScriptedSocket.Closed() }
            #expect(interruption.retryAfter == .milliseconds(123))
            #expect(interruption.error == ClientError(code: "draining", message: "drain", closeCode: 1_012))
            #expect(try await events.next() == .snapshot(GoldenMessages.snapshot(1, [:])))
            #expect(ContinuousClock.now - start > .milliseconds(100))
        }
    }

    @Test("ends with an error where the gateway says that it is of no use", arguments: [4_401, 4_403, 4_404])
    func final(code: Int) async throws {
        try await ScriptedGateway.run { _, socket in
            try await socket.subscribe()
            try await socket.close(code, "no")
        } _: { gateway in
            var events = try gateway.client().events(Self.environment).makeAsyncIterator()
            let error = await #expect(throws: ClientError.self) { while try await events.next() != nil {} }
            #expect(error?.closeCode == code)
            #expect(error?.message == "no")
            #expect(try await events.next() == nil)
            #expect(gateway.calls.count == 1)
        }
    }

    @Test("pauses where the gateway finds it too fast")
    func tooFast() async throws {
        try await ScriptedGateway.run { connection, socket in
            try await socket.subscribe()
            if connection == 0 { return try await socket.close(4_429) }
            try await socket.send(try GoldenMessages.json(GoldenMessages.snapshot(1, [:])))
            _ = try await socket.closeCode()
        } _: { gateway in
            var events = try gateway.client { $0.watch.tooFastPause = .milliseconds(80) }.events(Self.environment).makeAsyncIterator()
            guard case .disconnected(let interruption) = try await events.next() else { throw ScriptedSocket.Closed() }
            #expect(interruption.retryAfter >= .milliseconds(40))
            #expect(try await events.next() == .snapshot(GoldenMessages.snapshot(1, [:])))
        }
    }

    @Test("understands why an upgrade is refused, and comes back after a 503")
    func refused() async throws {
        let unavailable = ScriptedGateway.Answer(status: .serviceUnavailable, body: "<html>no problem document</html>")
        try await ScriptedGateway.run(refusals: [unavailable, Self.problem]) { gateway in
            var events = try gateway.client().events(Self.environment).makeAsyncIterator()
            guard case .disconnected(let interruption) = try await events.next() else { throw ScriptedSocket.Closed() }
            #expect(interruption.error.status == 503)
            #expect(interruption.error.code == "unavailable")
            let error = await #expect(throws: ClientError.self) { while try await events.next() != nil {} }
            #expect(error == ClientError(code: "unauthenticated", message: "The token has expired.", status: 401))
        }
    }

    @Test("takes a silent connection for dead")
    func silence() async throws {
        try await ScriptedGateway.run { connection, socket in
            try await socket.subscribe()
            if connection == 0 {
                #expect(try await socket.closeCode() == 1_000)
                return
            }
            try await socket.send(try GoldenMessages.json(GoldenMessages.snapshot(1, [:])))
            _ = try await socket.closeCode()
        } _: { gateway in
            var events = try gateway.client { $0.watch.silenceTimeout = .milliseconds(300) }.events(Self.environment).makeAsyncIterator()
            guard case .disconnected(let interruption) = try await events.next() else { throw ScriptedSocket.Closed() }
            #expect(interruption.error.code == "silent")
            // On a busy machine the next connection may be found silent as well.
            var event = try await events.next()
            while case .disconnected = event { event = try await events.next() }
            #expect(event == .snapshot(GoldenMessages.snapshot(1, [:])))
        }
    }

    @Test("starts over where a message makes no sense, of whatever kind", arguments: 0..<5)
    func senseless(kind: Int) async throws {
        try await ScriptedGateway.run { connection, socket in
            let message = try await socket.subscribe()
            #expect(message.since == nil)
            try await socket.send(try GoldenMessages.json(GoldenMessages.snapshot(connection, [:])))
            guard connection == 0 else {
                _ = try await socket.closeCode()
                return
            }
            switch kind {
            case 0: try await socket.send("{")
            case 1: try await socket.send(.init(fin: true, opcode: .binary, data: .init(string: "{}")))
            case 2: try await socket.send(.init(fin: true, opcode: .text, maskKey: .random(), data: .init(string: "{}")))
            case 3: try await socket.send(.init(fin: true, rsv1: true, opcode: .text, data: .init(string: "{}")))
            default: try await socket.send(.init(fin: true, opcode: .continuation, data: .init(string: "{}")))
            }
            _ = try await socket.closeCode()
        } _: { gateway in
            var events = try gateway.client().events(Self.environment).makeAsyncIterator()
            #expect(try await events.next() == .snapshot(GoldenMessages.snapshot(0, [:])))
            guard case .disconnected(let interruption) = try await events.next() else { throw ScriptedSocket.Closed() }
            #expect(interruption.error.code == "invalid_answer")
            #expect(try await events.next() == .snapshot(GoldenMessages.snapshot(1, [:])))
        }
    }

    @Test("says again on a new connection what it had acknowledged")
    func acknowledgement() async throws {
        try await ScriptedGateway.run { connection, socket in
            try await socket.subscribe()
            let previous = connection == 0 ? 0 : 1
            try await socket.send(
                connection == 0
                    ? try GoldenMessages.json(GoldenMessages.snapshot(1, [:]))
                    : try GoldenMessages.json(GoldenMessages.changes(previous, 1, []))
            )
            let message = try await socket.receive()
            #expect(message.type == "ack")
            #expect(message.revision == 1)
            #expect(message.status == "failed")
            #expect(message.message == "why")
            if connection > 0 { _ = try await socket.closeCode() }
        } _: { gateway in
            let watch = try gateway.client().events(Self.environment, acknowledges: true)
            var events = watch.makeAsyncIterator()
            #expect(try await events.next() == .snapshot(GoldenMessages.snapshot(1, [:])))
            watch.acknowledge(1, as: .failed("why"))
            guard case .disconnected = try await events.next() else { throw ScriptedSocket.Closed() }
            guard case .changes = try await events.next() else { throw ScriptedSocket.Closed() }
        }
    }

    @Test("keeps trying where nobody listens, and says so")
    func unreachable() async throws {
        // Port 1 of the loopback interface belongs to a service that nobody has run for decades.
        var settings = ClientSettings(url: "http://127.0.0.1:1", token: "kv_test")
        settings.watch.initialBackoff = .milliseconds(1)
        var events = try ConfigurationClient(settings).events(Self.environment).makeAsyncIterator()
        for _ in 0..<3 {
            guard case .disconnected(let interruption) = try await events.next() else { throw ScriptedSocket.Closed() }
            #expect(interruption.error.code == "unreachable")
        }
    }
}
