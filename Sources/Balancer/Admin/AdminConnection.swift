// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Admin: what operators see and change, over HTTP and over a Unix socket.
// Flows through: bytes of one connection -> an `AdminRequest`, body included -> `AdminGate` (who may) -> `AdminSite` (which page) ->
//   `AdminDesk` (the balancer as it stands, and its changes) -> an `AdminAnswer`.
// Owner: everything here lives on the control loop; a connection owns its one request.
// Must hold: nothing is answered to whom the gate refuses; every text from outside is escaped where it leaves; no body is above 64 KiB.

import Reactor
import Wire

/// One client of the admin listener: one request after the other. Confined to the control loop; the sweep holds it until it is gone.
final class AdminConnection: ClientStreamUser, Timed {
    static let longestBody = 64 * 1024

    private enum Phase {
        case head
        case body(AdminRequest, BodyParser)
        /// The site thinks; reading pauses, because what comes is the next request.
        case answering
        case lingering(read: Int)
        case gone
    }

    private let connection: any ClientStream
    private let host: BalancerLoop
    private let site: AdminSite
    private var phase = Phase.head
    private var parser: RequestHeadParser
    /// What has come and is no part of a request yet.
    private var buffer: [UInt8] = []
    private var hasEnded = false
    private var isAdvancing = false
    var sweepSlot = DeadlineSweep.noSlot

    init(_ connection: any ClientStream, host: BalancerLoop, site: AdminSite) {
        self.connection = connection
        self.host = host
        self.site = site
        parser = RequestHeadParser(limits: host.limits.head)
    }

    func start() {
        host.sweep.add(self, deadline: host.deadline(in: host.times.clientIdle))
        connection.begin(self)
    }

    func close() {
        connection.close()
    }

    private func setDeadline(in milliseconds: UInt64) {
        host.sweep.set(self, deadline: host.deadline(in: milliseconds))
    }

    // MARK: Requests

    /// Reads as far as the bytes and the answers go.
    private func advance() {
        guard !isAdvancing else { return }
        isAdvancing = true
        defer { isAdvancing = false }
        while connection.pendingBytes == 0, step() {}
    }

    /// False where it has to wait.
    private func step() -> Bool {
        do throws(HTTPFault) {
            switch phase {
            case .head:
                guard !buffer.isEmpty else { return false }
                return try readHead()
            case .body(let request, let parser):
                return try readBody(of: request, parser)
            case .answering, .lingering, .gone:
                return false
            }
        } catch {
            finish(with: ErrorPage(error).answer(asHTML: false))
            return false
        }
    }

    private func readHead() throws(HTTPFault) -> Bool {
        let held = buffer
        guard case .complete(let length) = try parser.parse(held.span) else { return false }
        let head = parser.head
        let request = AdminRequest(head, in: held.span, peer: connection.remoteAddress)
        buffer.removeFirst(length)
        guard !head.fields.contains(.expect) || head.expectsContinue else {
            finish(with: ErrorPage(.expectationFailed).answer(asHTML: request.prefersHTML))
            return false
        }
        let body = BodyParser(head.framing)
        if head.expectsContinue, buffer.isEmpty, !body.isComplete { connection.write(Array("HTTP/1.1 100 Continue\r\n\r\n".utf8)) }
        phase = .body(request, body)
        // Absolute, as the head's: no byte of the body moves it.
        setDeadline(in: host.times.header)
        return true
    }

    private func readBody(of request: AdminRequest, _ parser: BodyParser) throws(HTTPFault) -> Bool {
        var request = request
        var parser = parser
        if !parser.isComplete {
            guard !buffer.isEmpty else { return false }
            let held = buffer
            var consumed = held.count
            if case .complete(let used) = try parser.parse(held.span, content: { request.body.append(held.span, $0) }) { consumed = used }
            buffer.removeFirst(consumed)
            guard request.body.count <= Self.longestBody else {
                let answer = AdminAnswer.problem(
                    413,
                    code: "body_too_large",
                    "a body here may have \(Self.longestBody) bytes; change one server at a time"
                )
                finish(with: answer)
                return false
            }
            phase = .body(request, parser)
            guard parser.isComplete else { return false }
        }
        phase = .answering
        connection.pauseReading()
        host.sweep.set(self, deadline: DeadlineSweep.never)
        site.answer(request) { self.answered($0, to: request) }
        return true
    }

    private func answered(_ answer: AdminAnswer, to request: AdminRequest) {
        guard case .answering = phase else { return }
        let keepAlive = request.isPersistent && !hasEnded
        connection.write(answer.bytes(keepAlive: keepAlive, omitBody: request.method == .head))
        guard keepAlive else {
            finish()
            return
        }
        phase = .head
        setDeadline(in: host.times.clientIdle)
        guard connection.pendingBytes == 0 else { return }
        connection.resumeReading()
        advance()
    }

    /// Its last answer: nothing behind a fault can be trusted.
    private func finish(with answer: AdminAnswer) {
        connection.write(answer.bytes(keepAlive: false, omitBody: false))
        finish()
    }

    private func finish() {
        buffer = []
        guard connection.isOpen, !hasEnded else {
            phase = .gone
            connection.closeWhenFlushed()
            setDeadline(in: host.times.clientIdle)
            return
        }
        phase = .lingering(read: 0)
        connection.shutdownOutput()
        connection.resumeReading()
        setDeadline(in: connection.pendingBytes > 0 ? host.times.clientIdle : host.times.linger)
    }

    // MARK: Timed

    func deadlinePassed() {
        switch phase {
        case .head where buffer.isEmpty, .answering, .lingering, .gone: connection.close()
        case .head, .body: finish(with: ErrorPage(.requestTimeout).answer(asHTML: false))
        }
    }

    // MARK: ClientStreamUser

    func clientReceived(_ bytes: Span<UInt8>) {
        switch phase {
        case .head:
            // A head's time begins with its first byte.
            if buffer.isEmpty { setDeadline(in: host.times.header) }
            buffer.append(bytes)
            advance()
        case .body:
            buffer.append(bytes)
            advance()
        case .answering:
            buffer.append(bytes)
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
        case .head, .body: finish()
        case .answering: break
        case .lingering, .gone: connection.closeWhenFlushed()
        }
    }

    func clientDrained() {
        switch phase {
        case .head:
            connection.resumeReading()
            advance()
        case .lingering:
            setDeadline(in: host.times.linger)
        case .body, .answering, .gone:
            break
        }
    }

    func clientClosed() {
        phase = .gone
        buffer = []
        host.sweep.remove(self)
    }
}
