// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Wire

extension WebSocketRule {
    /// What the rule is tried on.
    package struct Endpoint: Sendable {
        package let port: UInt16
        package let target: String
        package let token: String?
        /// Sends messages back instead of reading them.
        package let isEcho: Bool

        package init(port: UInt16, target: String = "/v1/watch", token: String?, isEcho: Bool = false) {
            self.port = port
            self.target = target
            self.token = token
            self.isEcho = isEcho
        }

        fileprivate func isAnswer(_ text: String) -> Bool {
            isEcho ? text.hasPrefix(#"{"type":"unsubscribe""#) : text.contains(#""code":"not_subscribed""#)
        }
    }

    /// nil where the endpoint holds the rule, else what it did. `pieces`: how many writes the bytes are cut into.
    package func breach(at endpoint: Endpoint, pieces: Int = 1) async throws -> String? {
        let socket = try RawSocket(port: endpoint.port)
        return await withCheckedContinuation { continuation in
            // Blocking calls on a thread of its own: the shared ones are those that a server in this process may run on.
            Thread.detachNewThread {
                var run = RuleRun(rule: self, endpoint: endpoint, socket: socket)
                continuation.resume(returning: run.breach(pieces))
            }
        }
    }

    fileprivate func isAnswer(_ text: String, of endpoint: Endpoint) -> Bool { endpoint.isAnswer(text) }
}

/// One rule on one socket. Confined to its thread.
private struct RuleRun {
    private static let stillHere: [UInt8] = [UInt8]("still here?".utf8)

    private enum Heard: Hashable {
        case reply(WebSocketRule.Reply)
        case closed(UInt16?)
        case other(String)
    }

    private let rule: WebSocketRule
    private let endpoint: WebSocketRule.Endpoint
    private let socket: RawSocket
    private var parser: WebSocketParser
    private var heard: [Heard] = []
    private var hasEnded = false

    init(rule: WebSocketRule, endpoint: WebSocketRule.Endpoint, socket: RawSocket) {
        self.rule = rule
        self.endpoint = endpoint
        self.socket = socket
        parser = WebSocketParser(role: .client, maximumMessage: 1 << 24, inflates: rule.isDeflated)
    }

    mutating func breach(_ pieces: Int) -> String? {
        guard let rest = upgrade() else { return "no upgrade" }
        feed(rest)
        let size = max(1, (rule.bytes.count + pieces - 1) / pieces)
        for start in stride(from: 0, to: rule.bytes.count, by: size) {
            // A server that has closed takes no more; what it said counts.
            guard socket.write(Array(rule.bytes[start..<min(start + size, rule.bytes.count)])) else { break }
        }
        var expected = rule.replies.map(Heard.reply)
        switch rule.ending {
        case .open:
            socket.write(WebSocketRule.frame(0x89, Self.stillHere))
            let pong = Heard.reply(.pong(Self.stillHere))
            expected.append(pong)
            read { $0.contains(pong) }
            socket.write(WebSocketRule.frame(0x88, [0x03, 0xE8]))
            read { $0.contains(.closed(1000)) }
            expected.append(.closed(1000))
        case .closed(let codes):
            read { $0.contains { if case .closed = $0 { true } else { false } } }
            // Either of them, where a rule leaves a choice.
            let found = codes.first { heard.contains(.closed($0)) } ?? codes[0]
            expected.append(.closed(found))
        }
        // The closing handshake is complete, or given up; nothing may follow.
        socket.finishSending()
        while !hasEnded { readOnce() }
        return heard == expected ? nil : "\(heard) and not \(expected)"
    }

    /// The bytes behind the head of the 101; nil: there is none.
    private func upgrade() -> [UInt8]? {
        let request = WebSocketHandshake.request(
            target: endpoint.target,
            host: "127.0.0.1:\(endpoint.port)",
            key: "dGhlIHNhbXBsZSBub25jZQ==",
            extensions: rule.isDeflated ? WebSocketDeflate.offer : nil,
            extraFields: endpoint.token.map { [(name: "Authorization", value: "Bearer \($0)")] } ?? []
        )
        socket.write(request)
        var bytes: [UInt8] = []
        var parser = ResponseHeadParser()
        while true {
            let more = socket.read()
            guard !more.isEmpty else { return nil }
            bytes += more
            do throws(HTTPFault) {
                guard case .complete(let length) = try parser.parse(bytes.span) else { continue }
                _ = try WebSocketHandshake.verify(
                    parser.head,
                    in: bytes.span,
                    key: "dGhlIHNhbXBsZSBub25jZQ==",
                    offersDeflate: rule.isDeflated
                )
                guard try WebSocketDeflate.isAgreed(parser.head, in: bytes.span) == rule.isDeflated else { return nil }
                return Array(bytes[length...])
            } catch {
                return nil
            }
        }
    }

    private mutating func read(until condition: ([Heard]) -> Bool) {
        while !hasEnded, !condition(heard) { readOnce() }
    }

    private mutating func readOnce() {
        let bytes = socket.read()
        if bytes.isEmpty { hasEnded = true } else { feed(bytes) }
    }

    private mutating func feed(_ bytes: [UInt8]) {
        var events: [Heard] = []
        let (rule, endpoint) = (rule, endpoint)
        do throws(WebSocketFault) {
            try parser.feed(bytes.span) { event, payload in
                switch event {
                case .text:
                    let text = payload.string()
                    // What the endpoint says by itself.
                    if text.hasPrefix(#"{"type":"ready""#) || text.hasPrefix(#"{"type":"heartbeat""#) { return }
                    events.append(rule.isAnswer(text, of: endpoint) ? .reply(.answer) : .other(text))
                case .binary: events.append(.other("\(payload.count) binary bytes"))
                case .ping: break
                case .pong: events.append(.reply(.pong(payload.array())))
                case .close(let code): events.append(.closed(code?.rawValue))
                }
            }
        } catch {
            events.append(.other("a frame that breaks a rule: \(error.message)"))
            hasEnded = true
        }
        heard += events
    }
}
