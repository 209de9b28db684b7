// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Stream sockets of one loop: accepted, connected, read and written without blocking.
// Flows through: bytes from the kernel into the loop's one receive buffer and straight to the handler; bytes from the handler straight to
//   the kernel, and only what it refuses into the connection's bounded pending buffer.
// Owner: the loop holds an open connection; its handler holds the protocol. Both are confined to the loop.
// Must hold: `connectionClosed` is the last call, exactly once, never inside a call of the handler's own.

import Glibc

/// What a connection tells its protocol, always on the loop.
package protocol ConnectionHandler: AnyObject {
    /// Bytes as they came; they are the loop's and gone when the call returns.
    func connection(_ connection: Connection, received bytes: Span<UInt8>)
    /// The peer has finished sending (FIN). Writing still works.
    func connectionReachedEnd(_ connection: Connection)
    /// The kernel takes bytes again after a `write` or `writeSome` that it had refused in part, and nothing is pending.
    func connectionDrained(_ connection: Connection)
    /// The connection is gone; nothing follows.
    func connectionClosed(_ connection: Connection, _ reason: CloseReason)
}

/// Why a connection ended.
package enum CloseReason: Hashable, Sendable {
    /// Our side called `close`.
    case local
    /// The peer reset it, or a write found it gone.
    case reset
    case failed(ReactorError)
}

/// What became of a `write`.
package enum WriteOutcome: Hashable, Sendable {
    /// The kernel has it all.
    case sent
    /// The rest waits: so many bytes in the pending buffer and, with TLS, in a record that has not gone; `connectionDrained` follows.
    case pending(Int)
    /// Nothing was taken: the pending buffer would exceed its limit. The caller decides what that means.
    case refused
    /// Nothing was taken, and nothing will be: `connectionClosed` follows, after what the peer had still sent.
    case closed
}

/// One stream socket; confined to its loop.
package final class Connection {
    package let loop: Loop
    /// The client's: with a prelude, the one it names.
    package let remoteAddress: SocketAddress?
    /// What its listener knows of it; nil for a plain one.
    private var arrival: ArrivalFacts?
    package let isTLS: Bool
    /// Kept until the connection closes.
    private var handler: (any ConnectionHandler)?

    /// Bytes that may wait for the kernel. A single write into an empty buffer may be larger: a started message is always finished.
    package var pendingLimit = 1024 * 1024

    private var transport: SocketTransport
    private var poll: PollHandle?
    private var pending = PendingBytes()
    private var state = State.open
    private var isReadingPaused = false
    private var reachedEnd = false
    private var wantsDrained = false
    private var shutdownWhenFlushed = false

    private enum State {
        case open
        /// A write found the peer gone, for this reason. What it had sent before is still read: a server that refuses a large request says
        /// why, and then resets. `endsInOrder`: its end came before the reset.
        case unwritable(CloseReason, endsInOrder: Bool)
        /// Flushes what is pending, then closes; what arrives is dropped.
        case closing
        case closed
    }

    init(
        _ descriptor: consuming Descriptor,
        _ session: TLSSession? = nil,
        remote: SocketAddress?,
        _ arrival: ArrivalFacts? = nil,
        on loop: Loop
    ) throws(ReactorError) {
        self.loop = loop
        self.arrival = arrival
        remoteAddress = remote
        isTLS = session != nil
        if case .unix? = remote {} else { descriptor.setStreamOptions() }
        let number = descriptor.number
        transport = SocketTransport(descriptor, session)
        poll = try PollHandle(descriptor: number, on: loop) { _ in }
        poll?.setReady { [self] events in ready(events) }
    }

    /// A connection that its listener has watched since it came.
    init(_ descriptor: consuming Descriptor, _ session: TLSSession?, _ poll: PollHandle, remote: SocketAddress?, _ arrival: ArrivalFacts?) {
        loop = poll.loop
        remoteAddress = remote
        isTLS = session != nil
        self.arrival = arrival
        transport = SocketTransport(descriptor, session)
        self.poll = poll
        poll.setReady { [self] events in ready(events) }
    }

    /// Hands the connection to its protocol and begins to read. The loop keeps both until the connection closes.
    package func start(_ handler: any ConnectionHandler) {
        loop.assertCurrent()
        self.handler = handler
        updateInterest()
    }

    /// Replaces the protocol, as an upgrade does; the old one hears nothing more.
    package func replaceHandler(_ handler: any ConnectionHandler) {
        loop.assertCurrent()
        guard !isClosed else { return }
        self.handler = handler
    }

    package var localAddress: SocketAddress? { transport.descriptorAddress }
    /// The other end of the socket, which may be a proxy's.
    package var peerAddress: SocketAddress? { arrival?.peer ?? remoteAddress }
    /// While the connection is open.
    package var tls: TLSFacts? { transport.facts }
    /// Takes bytes.
    package var isOpen: Bool {
        if case .open = state { return true }
        return false
    }
    /// Bytes taken from callers that the kernel has not.
    package var pendingBytes: Int { pending.count + transport.heldBytes }

    // MARK: Writing

    /// Sends now what the kernel takes and keeps the rest.
    @discardableResult
    package func write(_ bytes: Span<UInt8>) -> WriteOutcome {
        loop.assertCurrent()
        guard isOpen, !shutdownWhenFlushed else { return .closed }
        guard pending.isEmpty || pending.count + bytes.count <= pendingLimit else { return .refused }
        var sent = 0
        if pending.isEmpty {
            switch transport.send(bytes) {
            case .moved(let count): sent = count
            case .wouldBlock: break
            case .end: return writeFailed(EPIPE)
            case .failed(let number): return writeFailed(number)
            }
        }
        guard sent < bytes.count || transport.isHolding else { return .sent }
        pending.append(bytes.extracting(sent...))
        waitForDrain()
        return .pending(pendingBytes)
    }

    @discardableResult
    package func write(_ bytes: [UInt8]) -> WriteOutcome {
        write(bytes.span)
    }

    /// Sends what the kernel takes and keeps nothing, or with TLS one record, which counts as gone: returns the bytes that went (0 while
    /// earlier bytes are pending), nil when closed. After less than all of it, or while a record is kept, `connectionDrained` follows. The
    /// fan-out's way: its bytes stay in the shared log.
    package func writeSome(_ bytes: Span<UInt8>) -> Int? {
        guard isOpen, !shutdownWhenFlushed else { return nil }
        guard pending.isEmpty, !wantsDrained else { return 0 }
        switch transport.send(bytes) {
        case .moved(let count):
            if count < bytes.count || transport.isHolding { waitForDrain() }
            return count
        case .wouldBlock:
            waitForDrain()
            return 0
        case .end:
            _ = writeFailed(EPIPE)
            return nil
        case .failed(let number):
            _ = writeFailed(number)
            return nil
        }
    }

    private func waitForDrain() {
        wantsDrained = true
        updateInterest()
    }

    /// Sends FIN once nothing is pending; reading goes on.
    package func shutdownOutput() {
        guard isOpen, !shutdownWhenFlushed else { return }
        shutdownWhenFlushed = true
        if pending.isEmpty, !transport.isHolding { transport.shutdownOutput() }
        updateInterest()
    }

    /// Ends the connection where the peer's kernel has confirmed nothing of what was sent for so long (`TCP_USER_TIMEOUT`, RFC 5482).
    package func limitUnacknowledged(to duration: Duration) {
        transport.limitUnacknowledged(to: duration)
    }

    // MARK: Reading

    package func pauseReading() {
        guard !isReadingPaused else { return }
        isReadingPaused = true
        updateInterest()
    }

    package func resumeReading() {
        guard isReadingPaused else { return }
        isReadingPaused = false
        updateInterest()
        readUnreported()
    }

    // MARK: Closing

    /// Ends the connection now; what is pending is lost.
    package func close() {
        finish(.local)
    }

    /// Ends the connection with a reset, so that the peer learns that the stream is incomplete.
    package func abort() {
        guard !isClosed else { return }
        transport.resetOnClose()
        finish(.local)
    }

    /// Ends the connection once everything pending has gone; what still arrives is dropped.
    package func closeWhenFlushed() {
        loop.assertCurrent()
        switch state {
        case .open: break
        case .unwritable(let reason, _): return finish(reason)
        case .closing, .closed: return
        }
        guard !pending.isEmpty || transport.isHolding else {
            finish(.local)
            return
        }
        state = .closing
        isReadingPaused = true
        updateInterest()
    }

    private var isClosed: Bool {
        if case .closed = state { return true }
        return false
    }

    private func finish(_ reason: CloseReason) {
        loop.assertCurrent()
        guard !isClosed else { return }
        state = .closed
        poll?.close()
        poll = nil
        transport.close()
        pending.removeAll()
        // With its permit.
        arrival = nil
        let handler = handler
        self.handler = nil
        // Deferred: the handler may be the caller, in the middle of its own work.
        loop.defer { [self] in handler?.connectionClosed(self, reason) }
    }

    /// Nothing goes any more. What the peer had sent is in the kernel still, and is read before the end is told.
    private func writeFailed(_ number: Int32) -> WriteOutcome {
        let isGone = number == EPIPE || number == ECONNRESET
        let reason: CloseReason =
            transport.failure.map { .failed($0) } ?? (isGone ? .reset : .failed(.system("write to a peer", errno: number)))
        guard case .open = state, isGone, !reachedEnd else {
            finish(reason)
            return .closed
        }
        // The kernel says EPIPE, not ECONNRESET, where the peer's FIN came before its reset: what is read then is complete.
        state = .unwritable(reason, endsInOrder: number == EPIPE)
        pending.removeAll()
        transport.stopSending()
        wantsDrained = false
        updateInterest()
        return .closed
    }

    // MARK: Readiness

    private func updateInterest() {
        guard !isClosed else { return }
        var events: PollEvents = []
        if !isReadingPaused, !reachedEnd, handler != nil { events.insert(.readable) }
        if !pending.isEmpty || wantsDrained || transport.isHolding { events.insert(.writable) }
        poll?.watch(transport.interest(events))
    }

    private func ready(_ events: PollEvents) {
        let events = transport.possible(events)
        if events.contains(.writable), !pending.isEmpty || wantsDrained || transport.isHolding { becameWritable() }
        if events.contains(.readable) { readIfWanted() }
    }

    private func readIfWanted() {
        guard !isReadingPaused, !reachedEnd, handler != nil else { return }
        switch state {
        case .open, .unwritable: becameReadable()
        case .closing, .closed: break
        }
    }

    /// TLS has taken more from the socket than it could hand out at once, and no event will tell.
    private func readUnreported() {
        guard transport.hasUnreported else { return }
        loop.defer { [self] in
            if transport.hasUnreported { readIfWanted() }
        }
    }

    private func becameReadable() {
        // One read an event: a full buffer leaves the socket readable, and the next turn goes on after the others had theirs.
        switch transport.receive(into: loop.readBuffer) {
        case .moved(let count):
            let bytes = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(loop.readBuffer)[..<count])
            bytes.withMemoryRebound(to: UInt8.self) { handler?.connection(self, received: $0.span) }
            // After an error event libuv has stopped watching, and bytes that came before a reset are read before the reset is seen.
            updateInterest()
            readUnreported()
        case .wouldBlock:
            // Part of a record, or an error event that turned out to be none: libuv has stopped watching then, so ask again.
            updateInterest()
        case .end:
            reachedEnd = true
            updateInterest()
            if case .unwritable(let reason, let endsInOrder) = state {
                // Behind a reset the kernel says "end" too; a farewell of TLS is one.
                if endsInOrder || isTLS { handler?.connectionReachedEnd(self) }
                finish(reason)
            } else {
                handler?.connectionReachedEnd(self)
            }
        case .failed(let number):
            if let failure = transport.failure {
                finish(.failed(failure))
            } else {
                finish(number == ECONNRESET || number == EPIPE ? .reset : .failed(.system("read from a peer", errno: number)))
            }
        }
    }

    private func becameWritable() {
        while !pending.isEmpty || transport.isHolding {
            let outcome = pending.isEmpty ? transport.flush() : pending.withUnsent { transport.send($0) }
            switch outcome {
            case .moved(let count):
                pending.removeFirst(count)
            case .wouldBlock:
                updateInterest()
                return
            case .end:
                _ = writeFailed(EPIPE)
                return
            case .failed(let number):
                _ = writeFailed(number)
                return
            }
        }
        let drained = exchange(&wantsDrained, with: false)
        switch state {
        case .closing:
            finish(.local)
        case .open:
            if shutdownWhenFlushed { transport.shutdownOutput() }
            if drained { handler?.connectionDrained(self) }
            updateInterest()
        case .unwritable, .closed:
            break
        }
    }
}
