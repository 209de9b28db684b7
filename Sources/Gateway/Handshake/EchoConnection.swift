// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor
import Store
import Wire

/// For conformance suites, which test a WebSocket by what it sends back: every message comes back as it was, compressed where that was
/// agreed. Confined to its loop.
final class EchoConnection: ConnectionHandler, Overdue, LoopSocket {
    private static let maximumMessage = 64 * 1024 * 1024

    private let connection: Connection
    private let owner: SocketLoop
    private let deflater: Deflater?
    private var parser: WebSocketParser
    var place = SocketTable.Place(bucket: 0, index: 0)
    private(set) var isClosing = false
    /// When bytes last went or nothing was waiting, in the loop's milliseconds.
    private var lastProgress: UInt64

    /// Takes over a connection, which counts as open already.
    init(_ connection: Connection, on owner: SocketLoop, deflate: Bool) {
        self.connection = connection
        self.owner = owner
        deflater = deflate ? Deflater() : nil
        parser = WebSocketParser(role: .server, maximumMessage: Self.maximumMessage, inflates: deflate)
        lastProgress = owner.now
        place = owner.add(self)
    }

    func begin(_ answer: [UInt8], received rest: [UInt8]) {
        connection.replaceHandler(self)
        // What came in one read may go out whole; then reading stops until all of it has gone.
        connection.pendingLimit = .max
        connection.write(answer)
        connection.resumeReading()
        if !rest.isEmpty { self.connection(connection, received: rest.span) }
    }

    // MARK: Bytes

    func connection(_ connection: Connection, received bytes: Span<UInt8>) {
        var parser = parser.take()
        defer { self.parser = parser }
        var answers: [UInt8] = []
        do throws(WebSocketFault) {
            try parser.feed(bytes) { event, payload in answer(event, payload, to: &answers) }
        } catch {
            close(error.closeCode, error.message, &answers)
        }
        guard !answers.isEmpty else { return }
        if connection.pendingBytes == 0 { lastProgress = owner.now }
        connection.write(answers)
        if connection.pendingBytes > 0 { connection.pauseReading() }
    }

    private func answer(_ event: WebSocketEvent, _ payload: Span<UInt8>, to answers: inout [UInt8]) {
        switch event {
        case .text: echo(.text, payload, &answers)
        case .binary: echo(.binary, payload, &answers)
        case .ping: if !isClosing { WebSocketFrame.append(.pong, payload, to: &answers) }
        case .pong: break
        case .close(let code):
            // RFC 6455 section 5.5.1: theirs is answered with the same code, ours has been answered now.
            if !isClosing { WebSocketFrame.appendClose(code, to: &answers) }
            isClosing = true
            // After the caller's write.
            owner.loop.defer { [connection] in connection.closeWhenFlushed() }
        }
    }

    private func echo(_ opcode: WebSocketOpcode, _ payload: Span<UInt8>, _ answers: inout [UInt8]) {
        guard !isClosing else { return }
        if let deflater {
            deflater.appendFrame(opcode, payload, to: &answers)
        } else {
            WebSocketFrame.append(opcode, payload, to: &answers)
        }
    }

    private func close(_ code: WebSocketCloseCode, _ reason: String, _ answers: inout [UInt8]) {
        guard !isClosing else { return }
        isClosing = true
        WebSocketFrame.appendClose(code, reason: reason, to: &answers)
        owner.setDeadline(owner.closeDeadline, for: self)
    }

    func connectionDrained(_ connection: Connection) {
        lastProgress = owner.now
        connection.resumeReading()
    }

    func connectionReachedEnd(_ connection: Connection) {
        connection.closeWhenFlushed()
    }

    func connectionClosed(_ connection: Connection, _ reason: CloseReason) {
        owner.clearDeadline(for: self)
        owner.remove(self)
    }

    // MARK: The loop's table

    var principal: Principal? { nil }
    var expiry: Int64? { nil }
    func tokenEnded(_ end: TokenEnd) {}
    func tokenChanged(_ principal: Principal) {}
    func heartbeat() {}

    func check() {
        let isStalled = connection.pendingBytes > 0 && owner.now >= lastProgress + owner.configuration.stallLimit.wholeMilliseconds
        if isStalled { connection.close() }
    }

    func becameOverdue() {
        connection.close()
    }

    func sendAway(reconnectAfter milliseconds: Int) {
        var frame: [UInt8] = []
        close(.serviceRestart, "drain", &frame)
        connection.write(frame)
    }

    func abandon() {
        connection.close()
    }
}

/// The upgrade of a suite's client: no token, any origin.
struct EchoRequest {
    let answer: [UInt8]
    let deflate: Bool

    init(_ head: RequestHead, in bytes: Span<UInt8>) throws(HTTPRefusal) {
        do throws(HTTPFault) {
            let extensions = WebSocketDeflate.negotiate(head, in: bytes)
            answer = WebSocketHandshake.response(accept: try WebSocketHandshake.check(head, in: bytes).accept, extensions: extensions)
            deflate = extensions != nil
        } catch {
            throw HTTPRefusal(fault: error)
        }
    }
}
