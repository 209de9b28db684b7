// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor
import Wire

/// One request of an HTTP/2 connection as a connection of its own: its user gets an HTTP/1.1 request and writes an HTTP/1.1 response, and
/// never gets a second request. Confined to its loop; its connection holds it until it is closed.
final class HTTP2Stream: ClientStream {
    enum Output {
        case head
        case body
        /// Bytes of a granted WebSocket.
        case tunnel
        /// Everything has been written; what `output` has is the rest.
        case ended
        /// It broke off; the client learns it after what `output` has.
        case broken
    }

    /// More than this waits for the client: whoever writes is told to wait.
    private static let highWater = 16 << 10

    let id: Int32
    /// For the framing of the response.
    let method: HTTPMethod
    let isTunnel: Bool
    var responseBody = BodyParser.none
    var state = Output.head
    var output = HTTP2Output()
    var trailers: (fields: HTTPFields, bytes: [UInt8])?
    /// The library waits to be told that there is something to send.
    var isDeferred = false
    private(set) var connection: HTTP2Connection?
    private var user: (any ClientStreamUser)?
    private var input: HTTP2RequestBody
    private var isReadingPaused = false
    /// A reset has been submitted; set by the connection.
    var isReset = false
    private var isClosing = false
    private var hasSentEnd = false

    init(_ id: Int32, _ shape: HTTP2RequestHead.Shape, isHead: Bool, connection: HTTP2Connection) {
        self.id = id
        self.connection = connection
        method = isHead ? .head : .get
        isTunnel = shape == .tunnel
        input = HTTP2RequestBody(shape)
    }

    var remoteAddress: SocketAddress? { connection?.connection.remoteAddress }
    var isOpen: Bool { connection != nil && !isClosing && !isReset }
    var pendingBytes: Int { output.count }

    func begin(_ user: any ClientStreamUser) {
        self.user = user
    }

    func handOver(to user: any ClientStreamUser) {
        guard connection != nil else { return }
        self.user = user
    }

    // MARK: The request

    func headReceived(_ bytes: Span<UInt8>) {
        user?.clientReceived(bytes)
    }

    /// Bytes of the body. False where there are more than were declared: read as text they would be another request.
    func received(_ bytes: Span<UInt8>) -> Bool {
        guard input.accept(bytes.count) else { return false }
        if isReadingPaused || input.isHolding {
            input.hold(bytes)
        } else {
            deliver(bytes)
            settle()
        }
        return true
    }

    /// `trailers`: their lines. False where less came than was declared.
    func ended(trailers: [UInt8]) -> Bool {
        guard input.end(trailers: trailers) else { return false }
        if !isReadingPaused, !input.isHolding { deliverEnd() }
        return true
    }

    var hasEnded: Bool { input.hasEnded }

    /// Reading was resumed a moment ago.
    func goOn() {
        guard !isReadingPaused, connection != nil else { return }
        let held = input.takeHeld()
        if !held.isEmpty { deliver(held.span) }
        if !isReadingPaused, !input.isHolding { deliverEnd() }
        settle()
    }

    private func deliver(_ bytes: Span<UInt8>) {
        guard let user else { return }
        guard input.isChunked, let connection else {
            user.clientReceived(bytes)
            return
        }
        var chunk = connection.shared.takeBuffer()
        HTTP2RequestBody.appendChunk(bytes, to: &chunk)
        user.clientReceived(chunk.span)
        connection.shared.giveBack(chunk)
    }

    private func deliverEnd() {
        switch input.takeEnd() {
        case .none: break
        case .bytes(let bytes): user?.clientReceived(bytes.span)
        case .finished: user?.clientReachedEnd()
        }
    }

    /// Opens the windows for what has been taken.
    private func settle() {
        guard !isReadingPaused, input.unconsumed > 0 else { return }
        connection?.consume(input.takeUnconsumed(), stream: id)
    }

    // MARK: The response

    func write(_ bytes: Span<UInt8>) -> WriteOutcome {
        guard let connection, isOpen else { return .closed }
        translate(bytes, connection)
        wake()
        return output.count > Self.highWater ? .pending(output.count) : .sent
    }

    /// Tells the library that there is something to send, or an end.
    private func wake() {
        guard let connection else { return }
        if isDeferred {
            isDeferred = false
            connection.session?.resume(stream: id)
        }
        connection.wantsFlush()
    }

    /// What the library may send now.
    func offer(_ limit: Int) -> HTTP2DataOffer {
        let count = min(output.count, limit)
        let isAll = count == output.count
        switch state {
        case .ended where isAll:
            guard let trailers, let connection else { return .last(count) }
            self.trailers = nil
            let fields = HTTP2ResponseFields(status: nil, fields: trailers.fields)
            connection.session?.submitTrailers(fields, in: trailers.bytes.span, stream: id)
            return .lastBeforeTrailers(count)
        case .broken where count == 0:
            return .failed
        case .head, .body, .tunnel, .ended, .broken:
            if count > 0 { return .bytes(count) }
            isDeferred = true
            return .later
        }
    }

    /// True where nothing waits any more and its writer should know.
    func take(_ count: Int, into out: inout [UInt8]) -> Bool {
        output.take(count, into: &out)
        return count > 0 && output.count == 0 && state != .ended && state != .broken
    }

    func drained() {
        if output.count == 0 { user?.clientDrained() }
    }

    /// END_STREAM is on its way. True where the client is still sending what nobody wants: it is told to stop (RFC 9113 section 8.1).
    func sentEnd() -> Bool {
        hasSentEnd = true
        return !input.hasEnded && (!isTunnel || isClosing)
    }

    // MARK: Reading

    func pauseReading() {
        isReadingPaused = true
    }

    func resumeReading() {
        guard isReadingPaused else { return }
        isReadingPaused = false
        // Never inside a call of the user's own.
        if input.isWaiting { connection?.resumed(self) }
    }

    // MARK: End

    func shutdownOutput() {
        guard isOpen else { return }
        finishOutput()
        wake()
    }

    private func finishOutput() {
        switch state {
        case .tunnel:
            state = .ended
        case .body:
            if case .untilClose = responseBody { state = .ended } else { state = .broken }
        case .head:
            connection?.reset(self, .internalError)
        case .ended, .broken:
            break
        }
    }

    func closeWhenFlushed() {
        guard isOpen else { return }
        finishOutput()
        isClosing = true
        if hasSentEnd, !input.hasEnded { connection?.reset(self, .noError) }
        wake()
    }

    func close() {
        connection?.reset(self, .cancel)
    }

    func abort() {
        connection?.reset(self, .internalError)
    }

    /// It is gone: nothing follows. Returns the bytes that the connection's window still lacks.
    func detach() -> Int {
        connection = nil
        let user = user
        self.user = nil
        user?.clientClosed()
        return input.takeUnconsumed()
    }
}
