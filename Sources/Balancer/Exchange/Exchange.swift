// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Exchanges: one request and its response, streamed.
// Flows through: a parsed head -> route, pin, server (`begin`) -> an upstream connection (`+Attempts`) -> request body (`+Request`) and
//   response (`+Response`) as they come -> `finish`, or a tunnel.
// Owner: its client, on the client's loop; it has its upstream connection until it gives it back.
// Must hold: no body is ever held as a whole; whoever can't take bytes pauses the other side; the response's head leaves once.

import Glibc
import Metrics
import Reactor
import Wire

/// One request and its response. Confined to its loop.
final class Exchange: UpstreamUser {
    /// It holds this exchange for as long as that is its turn, and lets go of it at the end, so the circle always opens.
    let client: ClientConnection
    let host: BalancerLoop
    /// Those of its beginning, whatever the configuration becomes meanwhile.
    let settings: LoopSettings
    var machine: ExchangeStateMachine
    var attempts: AttemptStateMachine
    var requestBody: BodyParser
    /// While there is a body to wait for.
    var bodyPace: BodyPace?
    var responseBody = BodyParser.none
    /// The rewritten head with the body bytes that came along: what an attempt begins with. Kept until the response's head is there.
    var opening: [UInt8] = []
    var layout: RequestLayout?
    var upstream: UpstreamConnection?
    var connector: Connector?
    /// Where the current attempt goes.
    var place: PoolView.Place?
    var tried: [PooledServer] = []
    var pool: PoolView?
    /// Of the request; nil until it is known, and where none matches.
    var route: Route?
    var partialResponse: PartialResponse?
    var wish = ServerWish()
    /// While it waits for a server with a place.
    var ticket: PoolQueue.Ticket?
    var status = 0
    var sentBytes: UInt64 = 0
    var isUpgrade = false
    var removesChunks = false
    /// The route compresses, and the request allows it.
    var takesGzip = false
    var compressor: ResponseCompressor?
    let expectsContinue: Bool
    private let prefersHTML: Bool
    private let omitsBody: Bool
    /// Where the access log is on.
    var logged: LoggedRequest?
    let began: UInt64
    /// From `begin` on.
    private var name: RequestName?
    /// From its beginning to the head of its answer, in nanoseconds.
    var answeredAfter: UInt64?
    private var isRecorded = false

    init(_ client: ClientConnection, _ head: RequestHead, in bytes: Span<UInt8>, hasEnded: Bool) {
        self.client = client
        host = client.host
        settings = client.host.settings
        requestBody = BodyParser(head.framing)
        machine = ExchangeStateMachine(
            clientPersists: head.isPersistent && !hasEnded && !client.host.isDraining,
            requestComplete: false
        )
        attempts = AttemptStateMachine(isReplayable: Self.isReplayable(head))
        expectsContinue = head.expectsContinue
        prefersHTML = head.fields.contains(.accept) && ErrorPage.prefersHTML(head.fields, in: bytes)
        omitsBody = head.method == .head
        began = MonotonicClock.nanoseconds()
    }

    /// May it reach a server twice? A conditional write may not: its first run can make the second one's condition fail.
    private static func isReplayable(_ head: RequestHead) -> Bool {
        guard head.method.isIdempotent else { return false }
        if head.method.isSafe || head.fields.contains(.idempotencyKey) { return true }
        return !head.fields.contains(.ifMatch) && !head.fields.contains(.ifNoneMatch)
    }

    /// HTTP/1.0 clients would have to be given the length, which nobody knows before the end.
    private static func takesGzip(_ head: RequestHead, _ bytes: Span<UInt8>) -> Bool {
        head.version == .http11 && AcceptEncoding.prefersGzip(head.fields, in: bytes)
            && !head.fields.all(.cacheControl).contains { CacheControl.forbidsTransforming(bytes, $0) }
    }

    /// Starts the request, or refuses it. Returns how many bytes of `rest`, which stand behind the head, are its body's.
    func begin(_ head: RequestHead, _ bytes: Span<UInt8>, rest: Span<UInt8>) -> Int {
        let name = RequestName(using: &host.names, head, in: bytes, isTrusted: client.forwarding.isTrusted)
        self.name = name
        if settings.accessLog.isUsed {
            logged = LoggedRequest(
                head,
                in: bytes,
                origin: client.origin(address: client.forwarding.clientAddress(head.fields, bytes)),
                name: name,
                rule: settings.accessLog.rule,
                began: began,
                headTime: client.headTime
            )
        }
        var consumed = rest.count
        do throws(HTTPFault) {
            if requestBody.isComplete {
                consumed = 0
            } else if case .complete(let used) = try requestBody.advance(rest) {
                consumed = used
            }
            logged?.received = UInt64(consumed)
            if requestBody.isComplete {
                machine.requestCompleted()
            } else {
                let limits = settings.limits
                bodyPace = BodyPace(bytesPerSecond: limits.bodyRate, grace: settings.times.bodyGrace, at: host.loop.milliseconds)
            }
            try prepare(head, bytes, name)
        } catch {
            refuse(error)
            return consumed
        }
        client.tally.add(head.length + consumed, to: .bytesIn)
        guard pool != nil else { return consumed }
        opening.append(rest.extracting(..<consumed))
        choose(head, bytes)
        return consumed
    }

    /// Everything that can be refused before a server is chosen; without a pool the request has been refused.
    private func prepare(_ head: RequestHead, _ bytes: Span<UInt8>, _ name: RequestName) throws(HTTPFault) {
        if head.fields.contains(.expect), !head.expectsContinue { return refuse(.expectationFailed) }
        // HTTP/1.0 may leave it out, but our request to the server may not.
        guard let hostRange = head.fields.first(.host) else { throw .missingHost }
        if WebSocketHandshake.isRequested(by: head, in: bytes) {
            _ = try WebSocketHandshake.check(head, in: bytes)
            // Before any refusal: what follows the head is a tunnel's, never a request.
            isUpgrade = true
            if host.isDraining { return refuse(.draining) }
        }
        guard let route = settings.routes.route(path: head.path, host: hostRange, in: bytes) else { return refuse(.noRoute) }
        self.route = route
        if let rule = route.log { logged?.rule = rule }
        if let limiter = route.limiter {
            let key = limiter.key(head, in: bytes) { client.forwarding.clientAddress(head.fields, bytes) }
            if case .refused(let seconds) = limiter.admit(key, at: began) {
                return refuse(ErrorPage(.rateLimited, retryAfter: seconds), cause: .refused)
            }
        }
        // Last: an upgrade that is refused for something else costs nobody his place among those of this second.
        guard !isUpgrade || settings.admission.admit(at: host.loop.milliseconds) else { return refuse(.upgradeRate) }
        let pool = host.pools[route.pool]
        self.pool = pool
        pool.budget.requestStarted()
        if route.compresses { takesGzip = Self.takesGzip(head, bytes) }
        opening.reserveCapacity(head.length + 512)
        layout = RequestRewriter.append(
            head,
            bytes,
            host: hostRange,
            .init(
                forwarding: client.forwarding,
                name: name,
                cookies: settings.cookies,
                isUpgrade: isUpgrade,
                plan: route.rules.request
            ),
            into: &opening
        )
    }

    // MARK: End

    /// Answers in a server's place.
    func refuse(_ refusal: Refusal) {
        let cause: TerminationCause =
            switch refusal {
            case .serverFailed, .badResponse, .serverUnreachable, .serverTLSFailed: .serverFailed
            case .responseTimeout: .serverTimeout
            case .requestTimeout: .clientTimeout
            case .expectationFailed, .notFound, .methodNotAllowed, .noRoute, .noServer, .serverDown, .queueFull, .queueTimeout,
                .upgradeRate,
                .rateLimited, .draining:
                .refused
            }
        refuse(ErrorPage(refusal), cause: cause)
    }

    /// The request broke the rules: nothing behind the fault can be trusted, so the connection ends.
    func refuse(_ fault: HTTPFault) {
        machine.clientWillNotGoOn()
        refuse(ErrorPage(fault), cause: .refused)
    }

    private func refuse(_ page: ErrorPage, cause: TerminationCause) {
        // Bytes behind an upgrade may be meant for a tunnel: they must never be read as a request.
        if isUpgrade { machine.clientWillNotGoOn() }
        settings.metrics.countRejected(page.code)
        logged?.reason = page.code
        let keepAlive = machine.willKeepAlive && machine.isRequestComplete
        let pages = route?.rules.pages ?? .none
        let answer = client.withOwnLines(
            page.bytes(asHTML: prefersHTML, pages: pages, keepAlive: keepAlive, omitBody: omitsBody),
            requestID: name?.requestID
        )
        sentBytes += UInt64(answer.count)
        // Counted before the bytes leave: who sees the answer sees the count.
        record(page.status, cause: cause, counts: place?.counts ?? pool?.ownCounts)
        client.connection.write(answer)
        perform(machine.answeredLocally(), cause: cause)
    }

    func clientWillNotGoOn() {
        machine.clientWillNotGoOn()
    }

    func perform(_ action: ExchangeStateMachine.Action, cause: TerminationCause) {
        switch action {
        case .none:
            break
        case .attemptEnded:
            attemptDied()
        case .finish(let clientFate, let serverFate):
            finish(clientFate, serverFate, cause: cause)
        }
    }

    private func finish(
        _ clientFate: ExchangeStateMachine.ClientFate,
        _ serverFate: ExchangeStateMachine.ServerFate,
        cause: TerminationCause
    ) {
        // Where no final head was sent there is a status all the same: the client left (499, as nginx writes it).
        record(status == 0 ? 499 : status, cause: cause, counts: place?.counts ?? pool?.ownCounts)
        leaveQueue()
        connector?.cancel()
        connector = nil
        if let upstream, serverFate == .reuse, upstream.connection.pendingBytes == 0 {
            self.upstream = nil
            upstream.rest()
        }
        attemptEnded()
        client.exchangeEnded(clientFate)
    }

    /// The upstream connection, if there is still one, has no use any more.
    func attemptEnded() {
        upstream?.close()
        upstream = nil
        place?.server.exchangeEnded()
        place = nil
    }

    /// Metrics and log; only the first call counts. A tunnel's line waits for its end.
    func record(_ status: Int, cause: TerminationCause, counts: StatusCounts?) {
        guard !isRecorded else { return }
        isRecorded = true
        let elapsed = MonotonicClock.nanoseconds() - began
        counts?.count(status, cause: cause)
        client.tally.answered(status, cause: cause)
        // An event stream's length is not its server's slowness.
        if counts != nil { settings.metrics.requestDuration.recordNanoseconds(Int64(answeredAfter ?? elapsed)) }
        guard let logged else { return }
        logged.endedAt = began + elapsed
        logged.status = status
        logged.cause = cause
        logged.sent = sentBytes
        logged.pool = pool?.snapshot.name
        logged.server = place?.server.name
        if status != 101 { host.write(logged, to: settings.accessLog, pool: pool, server: place?.server) }
    }

    /// Seconds since 1970, for cookies.
    static func wallSeconds() -> UInt32 {
        UInt32(truncatingIfNeeded: clock_gettime_nsec(CLOCK_REALTIME) / 1_000_000_000)
    }

    private static func clock_gettime_nsec(_ clock: clockid_t) -> UInt64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}
