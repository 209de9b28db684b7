// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor
import Wire

/// One client: reads heads, lets one exchange after the other have the connection, answers what the balancer answers itself.
/// Confined to its loop; the sweep holds it until the connection is gone or has become a tunnel.
final class ClientConnection: ClientStreamUser, Timed {
    private enum Phase {
        /// Between requests, or within a head.
        case head
        case exchange(Exchange)
        /// Refused or finished while the client still sends: that is read and dropped, so that no reset overtakes our last words.
        case lingering(read: Int)
        case gone
    }

    let connection: any ClientStream
    let host: BalancerLoop
    let listener: ListenerTraits
    /// Of its listener, on this loop.
    let tally: TrafficTally
    var sweepSlot = DeadlineSweep.noSlot
    private var phase = Phase.head
    private var partial: PartialHead?
    /// What came behind the running exchange's request: the next ones, or a tunnel's first bytes. Reading pauses while there are any.
    private var backlog: [UInt8] = []
    private var hasEnded = false
    private var isConsuming = false
    private var knownForwarding = KnownForwarding()
    /// Of the last head, from its first byte to its last, in nanoseconds.
    private(set) var headTime: UInt64 = 0
    /// The HTTP/2 connection that this client is a stream of.
    private let parent: HTTP2Connection?

    init(_ connection: any ClientStream, listener: ListenerTraits, host: BalancerLoop) {
        self.connection = connection
        self.listener = listener
        self.host = host
        tally = host.tally(of: listener.address)
        parent = nil
    }

    init(_ stream: HTTP2Stream, of parent: HTTP2Connection) {
        connection = stream
        listener = parent.listener
        host = parent.host
        tally = parent.tally
        self.parent = parent
    }

    func start() {
        host.clientCame()
        if parent == nil { tally.add(to: .sessions) }
        count(1)
        host.sweep.add(self, deadline: host.deadline(in: host.times.clientIdle))
        connection.begin(self)
    }

    /// Made at the first request, and anew where the configuration has changed: an idle connection pays nothing.
    var forwarding: ForwardingFields {
        parent?.forwarding ?? knownForwarding.fields(peer: connection.remoteAddress, listener: listener, host.settings)
    }

    func setDeadline(in milliseconds: UInt64) {
        host.sweep.set(self, deadline: host.deadline(in: milliseconds))
    }

    /// A moment of the loop's clock.
    func setDeadline(at moment: UInt64) {
        host.sweep.set(self, deadline: moment)
    }

    /// Somebody else watches the time.
    func clearDeadline() {
        host.sweep.set(self, deadline: DeadlineSweep.never)
    }

    // MARK: Heads

    /// Reads requests out of `bytes` for as long as each is answered at once; keeps the rest.
    private func consume(_ bytes: Span<UInt8>) {
        isConsuming = true
        defer { isConsuming = false }
        var offset = 0
        while offset < bytes.count {
            switch phase {
            case .head:
                guard connection.pendingBytes == 0 else {
                    // It doesn't read its answers: no more requests until it does.
                    stash(bytes.extracting(offset...))
                    return
                }
                guard let used = readHead(bytes.extracting(offset...)) else { return }
                offset += used
            case .exchange:
                stash(bytes.extracting(offset...))
                return
            case .lingering, .gone:
                return
            }
        }
    }

    /// The bytes of one request that were used, nil when they are all used or of no use any more.
    private func readHead(_ bytes: Span<UInt8>) -> Int? {
        do throws(HTTPFault) {
            if let partial {
                let before = partial.bytes.count
                guard case .complete(let length) = try partial.parse(bytes) else { return nil }
                self.partial = nil
                headTime = MonotonicClock.nanoseconds() - partial.began
                let buffer = partial.bytes
                let whole = buffer.span
                let rest = whole.extracting(length...)
                return length + begin(partial.parser.head, whole, rest: rest) - before
            }
            guard case .complete(let length) = try host.requestParser.parse(bytes) else {
                partial = PartialHead(bytes, parser: host.requestParser)
                host.requestParser = RequestHeadParser(limits: host.limits.head)
                // Absolute: no later byte moves it.
                setDeadline(in: host.times.header)
                return nil
            }
            headTime = 0
            return length + begin(host.requestParser.head, bytes, rest: bytes.extracting(length...))
        } catch {
            // Browsers say early that they want HTML.
            let prefersHTML =
                partial.map { ErrorPage.prefersHTML($0.parser.head.fields, in: $0.bytes.span) }
                ?? ErrorPage.prefersHTML(host.requestParser.head.fields, in: bytes)
            if partial == nil { host.requestParser.reset() }
            partial = nil
            refuse(error, asHTML: prefersHTML)
            return nil
        }
    }

    /// A head that breaks the rules; a stream's may do so before there is any text of it.
    func refuse(_ fault: HTTPFault, asHTML: Bool) {
        host.settings.metrics.countRejected(fault.code)
        tally.answered(fault.status, cause: .refused)
        refuse(ErrorPage(fault), asHTML: asHTML, cause: .refused)
    }

    /// A whole head. Returns how many bytes of `rest` belong to its body.
    private func begin(_ head: RequestHead, _ text: Span<UInt8>, rest: Span<UInt8>) -> Int {
        setDeadline(in: host.times.clientIdle)
        if let page = OwnPage.find(head, in: text, host: host) {
            // Nobody reads a body here, so its sender is not listened to any longer.
            let keepsAlive = head.isPersistent && !hasEnded && !host.isDraining && BodyParser(head.framing).isComplete
            let bytes = withOwnLines(page.bytes(keepAlive: keepsAlive, omitBody: head.method == .head))
            // Probes come every other second from everywhere: they are in no log and in no count.
            if let refusal = page.refusal {
                tally.answered(refusal.status, cause: .refused)
                log(head, text, refusal.status, reason: refusal.code, cause: .refused, sent: bytes.count)
            }
            answer(bytes, keepAlive: keepsAlive)
            return 0
        }
        if let redirect = listener.redirect {
            let keepsAlive = head.isPersistent && !hasEnded && !host.isDraining && BodyParser(head.framing).isComplete
            if let bytes = redirect.answer(head, text, forwarding, keepAlive: keepsAlive).map({ withOwnLines($0) }) {
                tally.answered(redirect.status, cause: .done)
                log(head, text, redirect.status, reason: nil, cause: .done, sent: bytes.count)
                answer(bytes, keepAlive: keepsAlive)
                return 0
            }
        }
        let exchange = Exchange(self, head, in: text, hasEnded: hasEnded)
        phase = .exchange(exchange)
        return exchange.begin(head, text, rest: rest)
    }

    // MARK: For the exchange

    /// Keeps bytes that come too early.
    func stash(_ bytes: Span<UInt8>) {
        backlog.append(bytes)
        connection.pauseReading()
    }

    var hasBacklog: Bool { !backlog.isEmpty }

    func takeBacklog() -> [UInt8] {
        let taken = backlog
        backlog = []
        return taken
    }

    /// The response is out, as far as it will be.
    func exchangeEnded(_ fate: ExchangeStateMachine.ClientFate) {
        guard case .exchange = phase else { return }
        switch fate {
        case .keepAlive: nextRequest()
        case .close: finish(lingering: !backlog.isEmpty)
        case .linger: finish(lingering: true)
        case .cut: finish(lingering: false)
        case .reset:
            phase = .gone
            connection.abort()
        }
    }

    private func nextRequest() {
        phase = .head
        setDeadline(in: host.times.clientIdle)
        // While `consume` is on the stack it goes on by itself; while answers are pending, `connectionDrained` does.
        guard !isConsuming, connection.pendingBytes == 0 else { return }
        if !backlog.isEmpty {
            let waiting = takeBacklog()
            consume(waiting.span)
        }
        if case .head = phase, backlog.isEmpty { connection.resumeReading() }
    }

    /// The connection has become a tunnel's, and so has its place in the count of sessions.
    func handOver() {
        phase = .gone
        count(1)
        leave()
    }

    private func count(_ change: Int) {
        host.settings.shared.sessions.change(by: change)
        listener.sessions.change(by: change)
    }

    /// For the access log.
    func origin(address: String) -> LoggedRequest.Origin {
        let transport = parent?.connection ?? connection as? Connection
        return LoggedRequest.Origin(
            client: address,
            port: connection.remoteAddress?.port,
            listener: listener,
            isHTTP2: parent != nil,
            tls: transport?.tls?.version
        )
    }

    // MARK: Answers

    /// An answer of the balancer's own outside of any exchange.
    private func answer(_ bytes: [UInt8], keepAlive: Bool) {
        connection.write(bytes)
        guard !keepAlive else { return }
        finish(lingering: true)
    }

    /// A request that is answered here, for the access log.
    private func log(_ head: RequestHead, _ text: Span<UInt8>, _ status: Int, reason: String?, cause: TerminationCause, sent: Int) {
        let log = host.settings.accessLog
        guard log.isUsed else { return }
        let request = LoggedRequest(
            head,
            in: text,
            origin: origin(address: forwarding.clientAddress(head.fields, text)),
            name: RequestName(using: &host.names, head, in: text, isTrusted: forwarding.isTrusted),
            rule: log.rule,
            began: MonotonicClock.nanoseconds(),
            headTime: headTime
        )
        request.answered(status, reason: reason, cause: cause, sent: sent)
        host.write(request, to: log)
    }

    /// A request that is no request.
    private func refuse(_ page: ErrorPage, asHTML: Bool, cause: TerminationCause) {
        let bytes = withOwnLines(page.bytes(asHTML: asHTML, keepAlive: false, omitBody: false))
        let log = host.settings.accessLog
        if log.isUsed {
            let origin = origin(address: connection.remoteAddress?.unmapped.host ?? "unknown")
            host.write(
                LoggedRequest(
                    refused: page.status,
                    reason: page.code,
                    cause: cause,
                    origin: origin,
                    rule: log.rule,
                    at: MonotonicClock.nanoseconds(),
                    sent: bytes.count
                ),
                to: log
            )
        }
        answer(bytes, keepAlive: false)
    }

    /// A whole answer of our own with the lines that all of them have here: HSTS and the preset's.
    /// An exchange's name its request's id too.
    func withOwnLines(_ answer: [UInt8], requestID: String? = nil) -> [UInt8] {
        var lines = listener.transportSecurity + host.settings.securityLines
        if let requestID { HeadWriter.field(.xRequestID, requestID, into: &lines) }
        guard !lines.isEmpty, let lineEnd = answer.firstIndex(of: 0x0A) else { return answer }
        return answer[...lineEnd] + lines + answer[(lineEnd + 1)...]
    }

    private func finish(lingering: Bool) {
        backlog = []
        partial = nil
        guard lingering, connection.isOpen, !hasEnded else {
            phase = .gone
            connection.closeWhenFlushed()
            setDeadline(in: host.times.clientIdle)
            return
        }
        phase = .lingering(read: 0)
        connection.shutdownOutput()
        connection.resumeReading()
        // The answer may still be on its way to a slow client: lingering begins when it has gone.
        setDeadline(in: connection.pendingBytes > 0 ? host.times.clientIdle : host.times.linger)
    }

    func drain() {
        switch phase {
        case .head:
            // A request that is on its way already is still answered.
            guard partial == nil else { break }
            if connection.pendingBytes > 0 { finish(lingering: false) } else { setDeadline(in: host.times.linger) }
        case .exchange(let exchange):
            exchange.clientWillNotGoOn()
        case .lingering, .gone:
            break
        }
    }

    func close() {
        connection.close()
    }

    func deadlinePassed() {
        switch phase {
        case .head:
            guard partial != nil else {
                connection.close()
                return
            }
            host.settings.metrics.countRejected(Refusal.requestTimeout.rawValue)
            refuse(ErrorPage(.requestTimeout), asHTML: false, cause: .clientTimeout)
        case .exchange(let exchange):
            exchange.deadlinePassed()
        case .lingering, .gone:
            connection.close()
        }
    }

    private func leave() {
        guard sweepSlot != DeadlineSweep.noSlot else { return }
        host.sweep.remove(self)
        count(-1)
        host.clientLeft()
    }

    // MARK: ClientStreamUser

    func clientReceived(_ bytes: Span<UInt8>) {
        switch phase {
        case .head:
            consume(bytes)
        case .exchange(let exchange):
            exchange.clientReceived(bytes)
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

    func clientReachedEnd() {
        hasEnded = true
        switch phase {
        case .head: finish(lingering: false)
        case .exchange(let exchange): exchange.clientReachedEnd()
        case .lingering, .gone: connection.closeWhenFlushed()
        }
    }

    func clientDrained() {
        switch phase {
        case .head: nextRequest()
        case .exchange(let exchange): exchange.clientDrained()
        case .lingering: setDeadline(in: host.times.linger)
        case .gone: break
        }
    }

    func clientClosed() {
        if case .exchange(let exchange) = phase {
            phase = .gone
            exchange.clientGone()
        }
        phase = .gone
        if parent == nil { tally.add(to: .ended) }
        leave()
    }
}
