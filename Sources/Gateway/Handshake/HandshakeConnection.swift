// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Connections before they watch: HTTP heads, the small answers, who is let in, and as what.
// Flows through: bytes of a head into a request, its token to the feed loop, and the connection on to the watch that it becomes.
// Owner: a `HandshakeConnection` belongs to the loop that accepted it, until something else has the connection.
// Must hold: a refusal comes before the upgrade wherever that is possible, with the reason and the remedy; what is behind a head that was
//   refused is never taken for another request; nobody stays longer than his deadline.

import Reactor
import Store
import Wire

/// A connection before its upgrade: reads heads, answers the small requests, and hands over to a `WatchConnection`. Confined to its loop.
final class HandshakeConnection: ConnectionHandler, Overdue {
    /// What a refused client may still send before it is cut off; closing on unread bytes would destroy the answer on its way.
    private static let lingerLimit = 1024 * 1024
    private static let lingerTime: Duration = .seconds(2)

    private enum State {
        case reading
        /// An answer is being found; the client's bytes wait in the kernel.
        case waiting
        /// Answered for the last time: what still comes is dropped until the client is done.
        case lingering
        /// A watch has the connection, or nobody any more.
        case done
    }

    private let connection: Connection
    private let owner: SocketLoop
    private var parser = RequestHeadParser()
    private var buffer: [UInt8] = []
    private var state = State.reading
    private var dropped = 0
    /// The origin of a page that asked to watch, and may.
    private var page: String?
    /// Of the request under way; probes and scrapes have none.
    private var identity: HandshakeIdentity?

    init(_ connection: Connection, on owner: SocketLoop) {
        self.connection = connection
        self.owner = owner
    }

    // MARK: Bytes

    func connection(_ connection: Connection, received bytes: Span<UInt8>) {
        switch state {
        case .reading:
            // The time for a head runs from its first byte.
            if buffer.isEmpty { owner.setDeadline(owner.configuration.headDeadline, for: self) }
            buffer.append(bytes)
            readHeads()
        case .waiting:
            buffer.append(bytes)
        case .lingering:
            dropped += bytes.count
            if dropped > Self.lingerLimit { connection.close() }
        case .done:
            break
        }
    }

    private func readHeads() {
        while case .reading = state, !buffer.isEmpty {
            do throws(HTTPFault) {
                guard case .complete(let length) = try parser.parse(buffer.span) else { return }
                handle(parser.head, length: length)
            } catch {
                // Not the one before it on this connection.
                identity = nil
                refuse(HTTPRefusal(fault: error))
                return
            }
        }
    }

    private func handle(_ head: RequestHead, length: Int) {
        let path = buffer.span.string(head.path)
        // A body would have to be read past before the next head; nobody sends one here.
        let keepAlive = head.isPersistent && (head.framing == .none || head.framing == .length(0))
        let endpoint = Endpoint(rawValue: path)
        identity = endpoint == nil ? HandshakeIdentity(head, in: buffer.span) : nil
        if owner.configuration.echoes, WebSocketHandshake.isRequested(by: head, in: buffer.span) {
            echo(head, length: length)
            return
        }
        if path == "/v1/watch" {
            switch head.method {
            case .get: watch(head, length: length)
            case .options: preflight(head, keepAlive, length: length)
            default: refuse(Self.notAllowed("GET"), head: head)
            }
            return
        }
        if path == SocketIORequest.path {
            if head.method == .get { socketIO(head, length: length) } else { refuse(Self.notAllowed("GET"), head: head) }
            return
        }
        guard let endpoint else {
            refuse(
                HTTPRefusal(status: 404, code: "not_found", detail: "This gateway serves /v1/watch and /socket.io/."),
                head: head,
                keepAlive,
                length
            )
            return
        }
        guard head.method == .get || head.method == .head else {
            refuse(Self.notAllowed("GET, HEAD"), head: head)
            return
        }
        let omitBody = head.method == .head
        switch endpoint {
        case .livez:
            respond(owner.health.live(keepAlive: keepAlive, omitBody: omitBody), keepAlive, length)
        case .readyz:
            respond(owner.health.ready(keepAlive: keepAlive, omitBody: omitBody), keepAlive, length)
        case .metrics:
            respond(owner.health.metrics(keepAlive: keepAlive, omitBody: omitBody), keepAlive, length)
        case .health, .healthFolder, .healthOfAPI:
            wait()
            let done = LoopBound({ [self] (bytes: [UInt8]) in goOn(with: bytes, keepAlive, length) }, loop: owner.loop)
            owner.health.health(on: owner.loop, keepAlive: keepAlive, omitBody: omitBody, done)
        }
    }

    private enum Endpoint: String {
        case livez = "/livez"
        case readyz = "/readyz"
        case metrics = "/metrics"
        case health = "/health"
        case healthFolder = "/health/"
        case healthOfAPI = "/api/v1/health"
    }

    private static func notAllowed(_ allowed: String) -> HTTPRefusal {
        HTTPRefusal(status: 405, code: "method_not_allowed", detail: "Send \(allowed).", fields: ["Allow": allowed])
    }

    // MARK: Answers

    private func wait() {
        state = .waiting
        connection.pauseReading()
    }

    private func goOn(with bytes: [UInt8], _ keepAlive: Bool, _ length: Int) {
        guard case .waiting = state else { return }
        state = .reading
        connection.resumeReading()
        respond(bytes, keepAlive, length)
        readHeads()
    }

    private func respond(_ bytes: [UInt8], _ keepAlive: Bool, _ length: Int) {
        connection.write(bytes)
        guard keepAlive else {
            linger()
            return
        }
        buffer.removeFirst(length)
        owner.setDeadline(buffer.isEmpty ? owner.configuration.idleDeadline : owner.configuration.headDeadline, for: self)
    }

    private func refuse(_ refusal: HTTPRefusal, head: RequestHead? = nil, _ keepAlive: Bool = false, _ length: Int = 0) {
        var refusal = refusal
        // A page must be able to read why.
        if let page { for field in CrossOrigin.fields(for: page) { refusal.fields[field.name] = field.value } }
        if let identity { refusal.fields[identity.field.name] = identity.field.value }
        owner.refused(refusal, identity)
        respond(refusal.response(keepAlive: keepAlive, omitBody: head?.method == .head), keepAlive, length)
    }

    private func linger() {
        state = .lingering
        buffer = []
        connection.resumeReading()
        connection.shutdownOutput()
        owner.setDeadline(Self.lingerTime, for: self)
    }

    // MARK: Watches

    private func preflight(_ head: RequestHead, _ keepAlive: Bool, length: Int) {
        guard let page = page(of: head) else {
            refuse(.originNotAllowed)
            return
        }
        respond(CrossOrigin.preflight(for: page, keepAlive: keepAlive), keepAlive, length)
    }

    /// The origin of the page that asks, where it may.
    private func page(of head: RequestHead) -> String? {
        let host = head.fields.string(.host, in: buffer.span)
        guard let origin = head.fields.string(.origin, in: buffer.span) else { return nil }
        return owner.configuration.origins.allows(origin, host: host) ? origin : nil
    }

    /// Whose token it is that may turn out to be wrong.
    private func client(of head: RequestHead) -> LoginClient {
        var lines: [String] = []
        for line in head.fields.all(.xForwardedFor) { lines.append(buffer.span.string(line)) }
        // Of a Unix socket the peer has no address.
        let peer = connection.remoteAddress.flatMap { $0.port == nil ? nil : $0.host }
        return owner.desk.logins.client(peer: peer, forwardedFor: lines)
    }

    /// What was asked for, where this gateway lets one more connection in; nil: it was refused.
    private func letIn<Value>(_ read: (Span<UInt8>) throws(HTTPRefusal) -> Value) -> Value? {
        do throws(HTTPRefusal) {
            guard !owner.status.isDraining else { throw .draining }
            let request = try read(buffer.span)
            guard owner.admitHandshake() else {
                throw .busy("More clients come at once than this gateway lets in a second.", code: "too_many_handshakes")
            }
            guard owner.status.openConnection() else {
                throw .busy("This gateway has all the connections it may have.", code: "too_many_connections")
            }
            return request
        } catch {
            refuse(error)
            return nil
        }
    }

    private func socketIO(_ head: RequestHead, length: Int) {
        let origins = owner.configuration.origins
        let request = letIn { bytes throws(HTTPRefusal) in try SocketIORequest(head, in: bytes, origins: origins) }
        guard let request, let identity else { return }
        let client = client(of: head)
        let rest = takeRest(behind: length)
        let session = SocketIOConnection(connection, token: request.token, from: client, on: owner)
        session.begin(request.answer(to: identity), identity, received: rest)
    }

    private func echo(_ head: RequestHead, length: Int) {
        let request = letIn { bytes throws(HTTPRefusal) in try EchoRequest(head, in: bytes) }
        guard let request else { return }
        let rest = takeRest(behind: length)
        EchoConnection(connection, on: owner, deflate: request.deflate).begin(request.answer, received: rest)
    }

    /// Ends the handshake; what the client sent behind its head is the next handler's.
    private func takeRest(behind length: Int) -> [UInt8] {
        state = .done
        owner.clearDeadline(for: self)
        let rest = Array(buffer[length...])
        buffer = []
        return rest
    }

    private func watch(_ head: RequestHead, length: Int) {
        page = page(of: head)
        let configuration = owner.configuration
        let request = letIn { bytes throws(HTTPRefusal) in try WatchRequest(head, in: bytes, configuration: configuration) }
        guard let request else { return }
        let client = client(of: head)
        buffer.removeFirst(length)
        guard let token = request.token else {
            handOver(request, nil, from: client)
            return
        }
        wait()
        let bound = LoopBound(self, loop: owner.loop)
        owner.desk.admit(token, from: client, to: request.requests.map(\.environment)) { admission in
            bound.loop.post { bound.value.admitted(admission, request, from: client) }
        }
    }

    private func admitted(_ admission: FeedDesk.Admission, _ request: WatchRequest, from client: LoginClient) {
        let refusal: HTTPRefusal
        switch admission {
        case .admitted(let principal):
            if case .waiting = state, !owner.status.isDraining {
                handOver(request, principal, from: client)
                return
            }
            owner.desk.released(principal)
            refusal = .draining
        case .unauthorized:
            refusal = .unauthorized
        case .limited(let seconds):
            refusal = .tooManyLogins(seconds)
        case .tooMany:
            refusal = .busy("The token has all the connections to this gateway that it may have.", code: "too_many_connections")
        case .unavailable:
            refusal = .busy("Tokens cannot be checked right now. Try again in a moment.")
        case .refused(let reason, let path):
            let message = reason.message(path.description)
            refusal = HTTPRefusal(
                status: reason.status,
                code: reason.rawValue,
                detail: message,
                fields: reason == .unavailable ? ["Retry-After": "1"] : [:]
            )
        }
        owner.status.connectionClosed()
        // The client may have gone meanwhile.
        if case .waiting = state { refuse(refusal) }
    }

    private func handOver(_ request: WatchRequest, _ principal: Principal?, from client: LoginClient) {
        guard let identity else { return }
        let rest = takeRest(behind: 0)
        let watch = WatchConnection(connection, principal: principal, from: client, format: request.format, on: owner)
        watch.begin(request.answer(to: identity), identity, requests: request.requests, received: rest)
    }

    // MARK: Ends

    func connectionReachedEnd(_ connection: Connection) {
        switch state {
        case .reading, .lingering: connection.close()
        // The answer is still wanted: a client may have closed its side right behind the request.
        case .waiting, .done: break
        }
    }

    func connectionDrained(_ connection: Connection) {}

    func connectionClosed(_ connection: Connection, _ reason: CloseReason) {
        state = .done
        owner.clearDeadline(for: self)
    }

    func becameOverdue() {
        connection.close()
    }
}
