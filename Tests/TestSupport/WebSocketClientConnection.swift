// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Reactor
package import Wire

/// The client's end of a WebSocket, as cheap as a load test needs it: a callback a message, no queue, no copy. Confined to its loop.
package final class WebSocketClientConnection: ConnectionHandler {
    package enum End: Hashable, Sendable {
        /// The server's close frame, with its code and reason.
        case closed(UInt16?, String)
        /// No upgrade: the status and the body.
        case refused(Int, String)
        /// The connection ended without any of that.
        case lost
    }

    /// A whole text message; the bytes are lent for the call.
    package var received: (Span<UInt8>) -> Void = { _ in }
    package var opened: (String?) -> Void = { _ in }
    package var pinged: () -> Void = {}
    /// The server sent what RFC 6455 forbids; `ended` follows.
    package var faulted: (WebSocketFault) -> Void = { _ in }
    /// The last call.
    package var ended: (End) -> Void = { _ in }
    package var answersPings = true
    /// Offers permessage-deflate; set before `start`.
    package var offersDeflate = false
    /// Of everything behind the answer's head, as they came.
    package private(set) var receivedBytes = 0

    package let connection: Connection
    private let key: String
    private let offered: [String]
    private let method: HTTPMethod = .get
    private var head: ResponseHeadParser? = ResponseHeadParser()
    private var buffer: [UInt8] = []
    private var parser = WebSocketParser(role: .client, maximumMessage: 64 * 1024 * 1024)
    private var end: End?

    package init(_ connection: Connection, subprotocols: [String] = []) {
        self.connection = connection
        offered = subprotocols
        key = WebSocketHandshake.key((.random(in: 0 ... .max), .random(in: 0 ... .max)))
    }

    /// Sends the upgrade; everything else comes through the callbacks.
    package func start(target: String, fields: [(name: String, value: String)] = []) {
        connection.pendingLimit = 64 * 1024 * 1024
        let offer = offersDeflate ? [(name: "Sec-WebSocket-Extensions", value: WebSocketDeflate.offer)] : []
        connection.start(self)
        connection.write(
            WebSocketHandshake.request(target: target, host: "127.0.0.1", key: key, subprotocols: offered, extraFields: fields + offer)
        )
    }

    package func send(_ opcode: WebSocketOpcode, _ payload: [UInt8], isFinal: Bool = true) {
        var frame: [UInt8] = []
        WebSocketFrame.append(opcode, payload, isFinal: isFinal, mask: .random(in: 0 ... .max), to: &frame)
        connection.write(frame)
    }

    package func send(text: String) {
        send(.text, Array(text.utf8))
    }

    package func close(_ code: UInt16, reason: String = "") {
        var frame: [UInt8] = []
        WebSocketFrame.appendClose(WebSocketCloseCode(rawValue: code), reason: reason, mask: .random(in: 0 ... .max), to: &frame)
        connection.write(frame)
    }

    // MARK: Bytes

    package func connection(_ connection: Connection, received bytes: Span<UInt8>) {
        guard head != nil else {
            feed(bytes)
            return
        }
        buffer.append(bytes)
        readHead()
    }

    private func readHead() {
        do throws(HTTPFault) {
            guard case .complete(let length) = try head?.parse(buffer.span), let answer = head?.head else { return }
            guard answer.status == 101 else {
                end = .refused(answer.status, buffer.span.string(length..<buffer.count))
                return
            }
            let subprotocol = try WebSocketHandshake.verify(
                answer,
                in: buffer.span,
                key: key,
                offered: offered,
                offersDeflate: offersDeflate
            )
            let inflates = try WebSocketDeflate.isAgreed(answer, in: buffer.span)
            parser = WebSocketParser(role: .client, maximumMessage: 64 * 1024 * 1024, inflates: inflates)
            head = nil
            opened(subprotocol)
            let rest = Array(buffer[length...])
            buffer = []
            if !rest.isEmpty { feed(rest.span) }
        } catch {
            end = .lost
            connection.close()
        }
    }

    private func feed(_ bytes: Span<UInt8>) {
        receivedBytes += bytes.count
        var parser = parser
        defer { self.parser = parser }
        do throws(WebSocketFault) {
            try parser.feed(bytes) { event, payload in
                switch event {
                case .text, .binary: received(payload)
                case .ping:
                    pinged()
                    if answersPings { send(.pong, payload.array()) }
                case .pong: break
                case .close(let code):
                    if end == nil { end = .closed(code?.rawValue, payload.string()) }
                    close(code?.rawValue ?? 1000)
                    connection.closeWhenFlushed()
                }
            }
        } catch {
            faulted(error)
            end = .lost
            connection.close()
        }
    }

    package func connectionReachedEnd(_ connection: Connection) {
        connection.close()
    }

    package func connectionDrained(_ connection: Connection) {}

    package func connectionClosed(_ connection: Connection, _ reason: CloseReason) {
        if case .refused(let status, let text)? = end, text.isEmpty, let parser = head {
            end = .refused(status, buffer.span.string(parser.head.length..<buffer.count))
        }
        let last = end ?? .lost
        let ended = ended
        received = { _ in }
        opened = { _ in }
        pinged = {}
        faulted = { _ in }
        self.ended = { _ in }
        ended(last)
    }
}
