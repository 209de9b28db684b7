// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor
import TestSupport
import Wire

/// A client's end of Server-Sent Events, as WHATWG's text describes the reader: a callback an event. Confined to its loop.
final class EventStreamConnection: ConnectionHandler {
    /// The data of one event; lent for the call.
    var received: (Span<UInt8>) -> Void = { _ in }
    /// The last call.
    var ended: (WebSocketClientConnection.End) -> Void = { _ in }
    let connection: Connection

    private var head: ResponseHeadParser? = ResponseHeadParser()
    private var body = BodyParser.none
    private var buffer: [UInt8] = []
    /// Nil until the answer's head has come.
    private var status: Int?
    /// Of the body: what has not ended with a blank line yet.
    private var text: [UInt8] = []
    /// Text before this holds no blank line.
    private var searched = 0

    init(_ connection: Connection) {
        self.connection = connection
    }

    func start(target: String, fields: [(name: String, value: String)]) {
        connection.start(self)
        let lines = fields.map { "\($0.name): \($0.value)\r\n" }.joined()
        connection.write(Array("GET \(target) HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\(lines)\r\n".utf8))
    }

    func connection(_ connection: Connection, received bytes: Span<UInt8>) {
        do throws(HTTPFault) {
            guard head != nil else {
                try feed(bytes)
                return
            }
            buffer.append(bytes)
            guard case .complete(let length) = try head?.parse(buffer.span), let answer = head?.head else { return }
            head = nil
            status = answer.status
            body = BodyParser(answer.framing(for: .get))
            let rest = Array(buffer[length...])
            buffer = []
            try feed(rest.span)
        } catch {
            connection.close()
        }
    }

    private func feed(_ bytes: Span<UInt8>) throws(HTTPFault) {
        guard !bytes.isEmpty else { return }
        var content: [Range<Int>] = []
        let progress = try body.parse(bytes) { content.append($0) }
        for range in content { text.append(bytes.extracting(range)) }
        if status == 200 { readEvents() }
        if case .complete = progress { connection.close() }
    }

    private func readEvents() {
        var start = 0
        var position = max(1, searched)
        while position < text.count {
            if text[position] == 0x0A, text[position - 1] == 0x0A {
                read(text[start..<position])
                start = position + 1
                position += 1
            }
            position += 1
        }
        text.removeFirst(start)
        searched = text.count
    }

    private func read(_ event: ArraySlice<UInt8>) {
        for line in event.split(separator: 0x0A) where line.starts(with: "data: ".utf8) {
            let data = Array(line.dropFirst(6))
            received(data.span)
        }
    }

    func connectionReachedEnd(_ connection: Connection) { connection.close() }
    func connectionDrained(_ connection: Connection) {}

    func connectionClosed(_ connection: Connection, _ reason: CloseReason) {
        let ended = ended
        received = { _ in }
        self.ended = { _ in }
        if let status, status != 200 { ended(.refused(status, String(decoding: text, as: UTF8.self))) } else { ended(.lost) }
    }
}
