// Keyvane
// SPDX-License-Identifier: Apache-2.0

// HTTP/2 towards clients: each stream is a connection of its own to `ClientConnection`, `Exchange` and `Tunnel`.
// Flows through: bytes -> `HTTP2Session` (nghttp2) -> `HTTP2RequestHead` -> an HTTP/1.1 request; the HTTP/1.1 response -> `HTTP2Stream` ->
//   frames, which leave in one write a turn.
// Owner: the sweep holds a connection until its socket is gone; it holds its session and its streams.
// Must hold: a request means the same in both versions or is refused; a window opens only for what a server took; whoever floods us,
//   resets what it asked for, or stalls, loses the connection.

import Reactor
import Wire

/// One HTTP/2 connection. Confined to its loop.
final class HTTP2Connection: ConnectionHandler, Timed {
    enum Phase {
        case open
        /// The client was told to open no more streams; at the deadline it is told which ones count.
        case announced
        /// What is open ends, nothing new begins.
        case goingAway
        /// Our last frames are on their way; what comes is dropped.
        case lingering(read: Int)
        case gone
    }

    let connection: Connection
    let host: BalancerLoop
    let shared: HTTP2Shared
    let listener: ListenerTraits
    let tally: TrafficTally
    var sweepSlot = DeadlineSweep.noSlot
    private(set) var session: HTTP2Session?
    var streams = HTTP2StreamTable()
    /// Empty between flushes.
    var outgoing = HTTP2Outgoing()
    var budget: HTTP2Budget
    /// The header block that is being read.
    var head: HTTP2RequestHead?
    var trailers: HTTP2Trailers?
    var isNuisance = false
    var hasSettings = false
    private(set) var phase = Phase.open
    private var knownForwarding = KnownForwarding()
    /// Told at the next flush, outside of anybody's call: it has nothing more to wait for; it reads again; it is gone.
    private var drained: [HTTP2Stream] = []
    private var resumed: [HTTP2Stream] = []
    private var closed: [HTTP2Stream] = []
    private var isFlushAsked = false
    private var stalledUntil = DeadlineSweep.never
    private var headUntil = DeadlineSweep.never

    init(_ connection: Connection, listener: ListenerTraits, host: BalancerLoop) {
        self.connection = connection
        self.listener = listener
        self.host = host
        tally = host.tally(of: listener.address)
        shared = host.http2
        budget = HTTP2Budget(host.http2.limits)
    }

    func start() {
        host.clientCame()
        tally.add(to: .sessions)
        // The preface and the first SETTINGS have a head's time.
        headUntil = host.deadline(in: host.times.header)
        host.sweep.add(self, deadline: headUntil)
        let session = HTTP2Session(shared.library, of: self)
        session.submitSettings(shared.limits, headerBytes: shared.headerBytes)
        self.session = session
        connection.start(self)
        wantsFlush()
    }

    /// The same for all streams.
    var forwarding: ForwardingFields {
        knownForwarding.fields(peer: connection.remoteAddress, listener: listener, host.settings)
    }

    var isTakingStreams: Bool {
        switch phase {
        case .open, .announced: true
        case .goingAway, .lingering, .gone: false
        }
    }

    // MARK: For streams

    func wantsFlush() {
        guard !isFlushAsked else { return }
        isFlushAsked = true
        shared.flush(self)
    }

    func reset(_ stream: HTTP2Stream, _ code: HTTP2ErrorCode) {
        guard !stream.isReset, stream.connection != nil else { return }
        stream.isReset = true
        session?.reset(stream: stream.id, code)
        // It hears of its end even where the reset can't be sent.
        closed.append(stream)
        wantsFlush()
    }

    func resumed(_ stream: HTTP2Stream) {
        resumed.append(stream)
        wantsFlush()
    }

    func consume(_ count: Int, stream: Int32) {
        session?.consume(stream: stream, count)
        wantsFlush()
    }

    func hasDrained(_ stream: HTTP2Stream) {
        drained.append(stream)
    }

    func drop(_ stream: HTTP2Stream) {
        streams.remove(stream.id)
        let missing = stream.detach()
        if missing > 0 { session?.consume(missing) }
        if streams.isEmpty { setDeadline() }
    }

    // MARK: Deadlines

    func headBegan() {
        headUntil = host.deadline(in: host.times.header)
        setDeadline()
    }

    func headEnded() {
        guard headUntil != DeadlineSweep.never else { return }
        headUntil = DeadlineSweep.never
        setDeadline()
    }

    /// Streams have deadlines of their own; a connection has one for a head, for a peer that takes nothing, and while it is idle.
    private func setDeadline() {
        switch phase {
        case .open:
            let idleUntil = streams.isEmpty ? host.deadline(in: host.times.clientIdle) : DeadlineSweep.never
            host.sweep.set(self, deadline: min(headUntil, stalledUntil, idleUntil))
        case .goingAway:
            host.sweep.set(self, deadline: streams.isEmpty ? host.deadline(in: host.times.linger) : stalledUntil)
        case .announced, .lingering, .gone:
            break
        }
    }

    func deadlinePassed() {
        switch phase {
        case .open:
            if stalledUntil == DeadlineSweep.never {
                // A preface or a head that doesn't come, or nothing at all.
                terminate(.noError)
            } else {
                connection.close()
            }
        case .announced:
            phase = .goingAway
            setDeadline()
            session?.goAway()
            wantsFlush()
        case .goingAway, .lingering, .gone:
            connection.close()
        }
    }

    // MARK: End

    /// For the drain: new streams still come for a moment, because the client can't know yet.
    func drain() {
        guard case .open = phase else { return }
        phase = .announced
        session?.announceShutdown()
        host.sweep.set(self, deadline: host.deadline(in: host.times.linger))
        wantsFlush()
    }

    func close() {
        connection.close()
    }

    /// Ends the connection with a GOAWAY of this code.
    func terminate(_ code: HTTP2ErrorCode) {
        switch phase {
        case .open, .announced, .goingAway:
            phase = .goingAway
            host.sweep.set(self, deadline: host.deadline(in: host.times.linger))
            session?.terminate(code)
            wantsFlush()
        case .lingering, .gone:
            break
        }
    }

    /// Everything is said: the rest of what the client sends is read, so that no reset overtakes our last frames.
    private func finish() {
        closeStreams()
        switch phase {
        case .open, .announced, .goingAway:
            phase = .lingering(read: 0)
            connection.shutdownOutput()
            host.sweep.set(self, deadline: host.deadline(in: host.times.linger))
        case .lingering, .gone:
            break
        }
    }

    private func closeStreams() {
        for stream in streams.all { drop(stream) }
    }

    // MARK: Sending

    /// Tells the streams what they wait for, then sends what the library has.
    func flush() {
        isFlushAsked = false
        settleStreams()
        guard let session, connection.isOpen, connection.pendingBytes == 0 else { return }
        outgoing.bytes = shared.takeBuffer()
        let hasMore = session.produce(for: self)
        let outcome = outgoing.bytes.isEmpty ? .sent : connection.write(outgoing.bytes)
        shared.giveBack(outgoing.take())
        if isNuisance { calm() }
        switch outcome {
        case .sent:
            if hasMore { wantsFlush() }
        case .pending:
            stalledUntil = host.deadline(in: host.times.clientIdle)
            setDeadline()
        case .refused, .closed:
            break
        }
        if !drained.isEmpty {
            let due = drained
            drained = []
            for stream in due { stream.drained() }
        }
        if session.isFinished { finish() }
    }

    private func settleStreams() {
        while !resumed.isEmpty || !closed.isEmpty {
            let (goingOn, gone) = (resumed, closed)
            resumed = []
            closed = []
            for stream in goingOn { stream.goOn() }
            for stream in gone { drop(stream) }
        }
    }

    // MARK: ConnectionHandler

    func connection(_ connection: Connection, received bytes: Span<UInt8>) {
        switch phase {
        case .open, .announced, .goingAway:
            receive(bytes)
        case .lingering(let read):
            guard read + bytes.count <= host.limits.lingerBytes else {
                connection.close()
                return
            }
            phase = .lingering(read: read + bytes.count)
        case .gone:
            break
        }
    }

    private func receive(_ bytes: Span<UInt8>) {
        guard let session else { return }
        let failure = session.receive(bytes)
        wantsFlush()
        guard let failure else {
            if isNuisance { calm() }
            return
        }
        switch failure {
        case .notHTTP2:
            host.settings.metrics.countRejected(HTTP2Refusal.preface.rawValue)
            connection.close()
        case .flooded:
            calm()
        case .broken:
            terminate(.internalError)
        }
    }

    /// A peer that costs more than it may.
    private func calm() {
        host.settings.metrics.countRejected(HTTP2Refusal.flood.rawValue)
        isNuisance = false
        closeStreams()
        terminate(.enhanceYourCalm)
    }

    func connectionReachedEnd(_ connection: Connection) {
        // Without its windows and settings no stream can go on for long.
        closeStreams()
        phase = .lingering(read: 0)
        connection.closeWhenFlushed()
        host.sweep.set(self, deadline: host.deadline(in: host.times.linger))
    }

    func connectionDrained(_ connection: Connection) {
        stalledUntil = DeadlineSweep.never
        setDeadline()
        wantsFlush()
    }

    func connectionClosed(_ connection: Connection, _ reason: CloseReason) {
        phase = .gone
        closeStreams()
        session = nil
        host.sweep.remove(self)
        tally.add(to: .ended)
        host.clientLeft()
    }
}
