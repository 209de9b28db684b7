// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import KeyvaneClient
import NIOCore
import Testing

/// The exchanges that every client is held to: `docs/protocol.md` explains the file, and the JavaScript and Python clients read it too.
@Suite("Vectors")
struct VectorTests {
    @Test("come out as written", arguments: try VectorExchange.all())
    func exchange(_ exchange: VectorExchange) throws {
        var watch = VectorWatch(exchange)
        for step in exchange.steps {
            let expected = step.filter { ["sends", "holds", "reconnects", "ends"].contains($0.key) } as NSDictionary
            #expect(try watch.carryOut(step) == expected, "\(exchange.name): \(step)")
        }
    }
}

struct VectorExchange: CustomTestStringConvertible, @unchecked Sendable {
    // Unchecked: the values are what JSONSerialization made, and nobody changes them.
    let watch: [String: Any]
    let steps: [[String: Any]]
    let jitter: Double
    let name: String

    var testDescription: String { name }

    static func all() throws -> [VectorExchange] {
        let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../clients/vectors.json")
        let root = try #require(try JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any])
        let jitter = try #require(root["jitter"] as? Double)
        return try #require(root["exchanges"] as? [[String: Any]]).map { exchange in
            VectorExchange(
                watch: try #require(exchange["watch"] as? [String: Any]),
                steps: try #require(exchange["steps"] as? [[String: Any]]),
                jitter: jitter,
                name: try #require(exchange["name"] as? String)
            )
        }
    }
}

/// A watch without a network: steps in, and what came of them in the words of the vectors.
private struct VectorWatch {
    private var machine: WatchStateMachine
    private var configuration: EnvironmentConfiguration?
    private let jitter: Double
    private var now = Duration.zero

    init(_ exchange: VectorExchange) {
        let watch = exchange.watch
        machine = WatchStateMachine(
            WatchSubscription(
                environment: watch["environment"] as? String ?? "",
                names: watch["names"] as? [String] ?? [],
                acknowledges: watch["acknowledges"] as? Bool ?? false
            ),
            settings: WatchSettings()
        )
        jitter = exchange.jitter
        _ = machine.started()
    }

    mutating func carryOut(_ step: [String: Any]) throws -> NSDictionary {
        if step["opened"] != nil { return try outcome(machine.connected(at: now)) }
        if let message = step["received"] { return try outcome(received(message)) }
        if let acknowledged = step["acknowledged"] as? [String: Any] {
            let revision = try #require(acknowledged["revision"] as? Int)
            let message = acknowledged["message"] as? String ?? ""
            return try outcome(
                machine.acknowledged(
                    revision: revision,
                    status: acknowledged["status"] as? String == "failed" ? .failed(message) : .applied
                )
            )
        }
        if let closed = step["closed"] as? [String: Any] {
            now += .milliseconds(closed["lastedMs"] as? Int ?? 0)
            let reason = closed["reason"] as? String ?? ""
            return try outcome(machine.closed(code: closed["code"] as? Int, reason: reason, at: now, jitter: jitter))
        }
        try #require(step["unreachable"] != nil)
        return try outcome(machine.connectFailed(ClientError(code: "unreachable", message: ""), jitter: jitter))
    }

    private mutating func received(_ message: Any) throws -> WatchStateMachine.Action {
        let parsed: ServerMessage
        do {
            parsed = try ServerMessage(json: ByteBuffer(string: try text(of: message)))
        } catch is DecodingError {
            return machine.unreadable(ClientError(code: "invalid_answer", message: ""), jitter: jitter)
        }
        return machine.received(parsed, jitter: jitter)
    }

    /// A text names a golden file; `text` is what isn't a message.
    private func text(of message: Any) throws -> String {
        if let name = message as? String { return try GoldenMessages.text(name) }
        if let text = (message as? [String: Any])?["text"] as? String { return text }
        return String(decoding: try JSONSerialization.data(withJSONObject: message), as: UTF8.self)
    }

    private mutating func outcome(_ action: WatchStateMachine.Action) throws -> NSDictionary {
        switch action {
        case .none, .connect, .checkSilence:
            return [:]
        case .send(let message):
            return ["sends": [try object(message)]]
        case .deliver(let event, let message):
            var outcome = delivered(event)
            if let message { outcome["sends"] = [try object(message)] }
            return outcome as NSDictionary
        case .reconnect(let interruption):
            _ = machine.delayElapsed()
            let (seconds, attoseconds) = interruption.retryAfter.components
            let delay = Int(seconds) * 1_000 + Int(attoseconds / 1_000_000_000_000_000)
            return ["reconnects": ["code": interruption.error.code, "afterMs": delay]]
        case .finish(let error):
            return ["ends": error.code]
        }
    }

    private mutating func delivered(_ event: WatchEvent) -> [String: Any] {
        switch event {
        case .connected, .disconnected:
            return [:]
        case .snapshot(let snapshot):
            configuration = EnvironmentConfiguration(snapshot)
        case .changes(let changes):
            configuration?.apply(changes)
            if changes.changes.isEmpty { return [:] }
        }
        guard let configuration else { return [:] }
        return ["holds": ["revision": configuration.revision, "cursor": configuration.cursor.description, "values": configuration.values]]
    }

    private func object(_ message: ClientMessage) throws -> Any {
        try JSONSerialization.jsonObject(with: Data(Array(buffer: try message.json())))
    }
}
