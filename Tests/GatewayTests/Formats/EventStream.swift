// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport

/// A reader of Server-Sent Events by the letter of the HTML standard, on a plain socket.
final class EventStream: Sendable {
    struct Event: Equatable, Sendable {
        var name = "message"
        var data = ""
        var id: String?
        var retry: Int?
    }

    let head: PlainAnswer
    let events = Events<Event>()
    private let socket: RawSocket
    private let rest: [UInt8]

    /// Sends the request and reads the answer's head; the events follow by themselves, or from `resume` on.
    init(port: UInt16, _ target: String, _ fields: [(String, String)], isPaused: Bool = false) async throws {
        socket = try RawSocket(port: port)
        let lines = fields.map { "\($0.0): \($0.1)\r\n" }.joined()
        socket.write("GET \(target) HTTP/1.1\r\nHost: gate.example\r\nAccept: text/event-stream\r\n\(lines)\r\n")
        let socket = socket
        let (first, behind): ([UInt8], [UInt8]) = await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                var all: [UInt8] = []
                while true {
                    let more = socket.read(limit: 256)
                    all += more
                    if more.isEmpty { return continuation.resume(returning: (all, [])) }
                    guard let end = all.firstRange(of: Array("\r\n\r\n".utf8))?.upperBound else { continue }
                    return continuation.resume(returning: (Array(all[..<end]), Array(all[end...])))
                }
            }
        }
        guard let head = PlainAnswer(first) else { throw DeadlinePassed("the head of an event stream") }
        self.head = head
        rest = behind
        if !isPaused { resume() }
    }

    func resume() {
        Thread.detachNewThread { [self] in
            var buffer = rest
            while true {
                while let end = buffer.firstRange(of: [0x0A, 0x0A]) {
                    if let event = Self.event(String(decoding: buffer[..<end.lowerBound], as: UTF8.self)) { events.emit(event) }
                    buffer.removeSubrange(..<end.upperBound)
                }
                let more = socket.read()
                guard !more.isEmpty else { break }
                buffer += more
            }
            events.emit(Event(name: "end of the stream"))
        }
    }

    private static func event(_ text: String) -> Event? {
        var event = Event()
        var data: [Substring] = []
        for line in text.split(separator: "\n") where !line.hasPrefix(":") {
            let parts = line.split(separator: ":", maxSplits: 1)
            let value = parts.count == 2 ? parts[1].hasPrefix(" ") ? parts[1].dropFirst() : parts[1] : ""
            switch parts[0] {
            case "event": event.name = String(value)
            case "data": data.append(value)
            case "id": event.id = String(value)
            case "retry": event.retry = Int(value)
            default: break
            }
        }
        event.data = data.joined(separator: "\n")
        return data.isEmpty ? nil : event
    }

    func first(_ name: String) async throws -> Event {
        let found = try await events.until("an event '\(name)'") { $0.contains { $0.name == name } }
        guard let event = events.all.first(where: { $0.name == name }) else { throw DeadlinePassed("\(name) in \(found)") }
        return event
    }

    /// The frames so far, as a WebSocket watcher has them.
    var messages: [String] { events.all.map(\.data) }

    func close() { socket.reset() }
}
