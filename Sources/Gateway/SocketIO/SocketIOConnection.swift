// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor
import Store
import Wire

/// One connection of a keyshade client: drives its session's state machine. Confined to its loop; the loop's table and the connection
/// hold it.
final class SocketIOConnection: ConnectionHandler, OutletOwner, Overdue, LoopSocket {
    /// What the open packet announces, and the most that a message may have.
    static let maximumPayload = 1_000_000
    /// A client that asks without reading the answers is not read any further.
    private static let queueLimit = 256 * 1024
    /// Start bytes up to this size go out in one write with what came before them.
    private static let joinedWrite = 32 * 1024

    private let connection: Connection
    private let owner: SocketLoop
    private let outlet: Outlet
    private let token: String?
    /// Whose wrong token it would be.
    private let client: LoginClient
    private var session: SocketIOSessionStateMachine
    private var parser = WebSocketParser(role: .server, maximumMessage: SocketIOConnection.maximumPayload)
    /// Of a token that was found good at a registration.
    private(set) var principal: Principal?
    var place = SocketTable.Place(bucket: 0, index: 0)
    /// Names it among the loop's connections.
    private let number: UInt32
    private var closeCode: UInt16 = 0
    private var isCounted = false
    private var isFinishing = false

    /// Takes over a connection, which counts as open already.
    init(_ connection: Connection, token: String?, from client: LoginClient, on owner: SocketLoop) {
        self.connection = connection
        self.owner = owner
        self.token = token
        self.client = client
        let configuration = owner.configuration
        let timing = SocketIOSessionStateMachine.Timing(
            pingInterval: UInt32(configuration.pingInterval.wholeMilliseconds / 1000),
            pingTimeout: UInt32(configuration.pingTimeout.wholeMilliseconds / 1000)
        )
        session = SocketIOSessionStateMachine(
            hasToken: token != nil,
            timing: timing,
            messageRate: configuration.limits.messagesPerSecond,
            at: owner.seconds
        )
        number = owner.nextConnectionNumber()
        outlet = Outlet(connection, hub: owner.hub)
        outlet.owner = self
        place = owner.add(self)
    }

    private var sid: String { owner.connectionName(number) }

    /// Sends the head of the answer with the open packet, and reads what the client sent behind its head.
    func begin(_ answer: [UInt8], _ identity: HandshakeIdentity, received rest: [UInt8]) {
        connection.replaceHandler(self)
        owner.opened(number, identity, .socketIO, subscriptions: 1)
        var bytes = answer
        SocketIOFrame.appendOpen(
            sid: sid,
            pingInterval: Int(owner.configuration.pingInterval.wholeMilliseconds),
            pingTimeout: Int(owner.configuration.pingTimeout.wholeMilliseconds),
            maxPayload: Self.maximumPayload,
            to: &bytes
        )
        outlet.send(bytes)
        owner.setDeadline(owner.configuration.registrationDeadline, for: self)
        connection.resumeReading()
        if !rest.isEmpty { self.connection(connection, received: rest.span) }
    }

    var isClosing: Bool { session.isClosing }

    var expiry: Int64? { principal?.expiry }

    private func noteExpiry() {
        if let expiry { owner.noteExpiry(expiry) }
    }

    // MARK: Bytes

    func connection(_ connection: Connection, received bytes: Span<UInt8>) {
        guard !isFinishing else { return }
        // Taken out for the call: the events below must not meet a parser that is being changed.
        var parser = parser.take()
        defer { self.parser = parser }
        do throws(WebSocketFault) {
            try parser.feed(bytes) { event, payload in received(event, payload) }
        } catch {
            perform(session.close(error.closeCode, error.message))
        }
    }

    private func received(_ event: WebSocketEvent, _ payload: Span<UInt8>) {
        switch event {
        case .text:
            guard !session.isClosing else { return }
            do throws(SocketIOFault) {
                perform(session.received(try SocketIOMessage(parsing: payload), sid: sid, at: owner.seconds))
            } catch {
                perform(session.received(error))
            }
        case .binary:
            perform(session.close(.unsupportedData, SocketIOFault.binaryPacket.message))
        case .ping:
            guard !session.isClosing else { return }
            var pong: [UInt8] = []
            WebSocketFrame.append(.pong, payload, to: &pong)
            send(pong)
        case .pong:
            break
        case .close(let code):
            // Ours was on its way already, or theirs is answered with the same code (RFC 6455 section 5.5.1).
            if !session.isClosing { perform(session.close(code ?? .normal, "")) }
            isFinishing = true
            if !outlet.isBlocked { connection.close() }
        }
    }

    private func send(_ bytes: [UInt8]) {
        outlet.send(bytes)
        if outlet.isBlocked, outlet.queuedBytes > Self.queueLimit { connection.pauseReading() }
    }

    func connectionDrained(_ connection: Connection) {
        guard outlet.drained() else { return }
        if isFinishing {
            connection.close()
            return
        }
        connection.resumeReading()
        perform(session.drained())
    }

    func connectionReachedEnd(_ connection: Connection) {
        // No close frame, or none any more: nobody listens for what is left.
        connection.close()
    }

    func connectionClosed(_ connection: Connection, _ reason: CloseReason) {
        owner.clearDeadline(for: self)
        owner.leaveAll(outlet)
        // Of the session's last actions only this is left to do.
        for case .dismiss(let environment) in session.close(.abnormal, "") {
            owner.ledger.dismiss(number, in: environment, from: .silent)
        }
        owner.closed(number, code: closeCode == 0 ? WebSocketCloseCode.abnormal.rawValue : closeCode)
        if let principal { owner.desk.released(principal) }
        countWatch()
        owner.remove(self)
    }

    // MARK: Actions

    /// `starting` is the answer that a `join` among the actions belongs to.
    private func perform(_ actions: [SocketIOAction], starting: StartedWatch? = nil) {
        guard !actions.isEmpty else { return }
        // Small frames in a row leave in one write.
        var waiting: [UInt8] = []
        for action in actions {
            switch action {
            case .send(let bytes):
                waiting += bytes
            case .authenticate:
                authenticate()
            case .attach(let ticket, let environment, let cursor):
                attach(ticket, environment, since: cursor)
            case .join:
                guard let starting else { continue }
                join(starting, behind: waiting)
                waiting = []
            case .leave(let group):
                owner.leave(group, outlet)
            case .enroll(let environment, let id, let standing, let isNew):
                owner.ledger.enroll(number, in: environment, id: id, from: standing, to: .silent, isNew: isNew)
                let requestID = isNew ? owner.subscribed(number, to: environment) : owner.connectionName(number)
                recordRegistration(in: environment, id, isNew: isNew, requestID: requestID)
            case .dismiss(let environment):
                owner.ledger.dismiss(number, in: environment, from: .silent)
            case .expectRegistration:
                owner.setDeadline(owner.configuration.registrationDeadline, for: self)
            case .registered:
                owner.clearDeadline(for: self)
            case .close(let code, let reason):
                WebSocketFrame.appendClose(code == .noStatus ? nil : code, reason: reason, to: &waiting)
                closeCode = code.rawValue
                owner.setDeadline(owner.closeDeadline, for: self)
            }
        }
        if !waiting.isEmpty { send(waiting) }
        countWatch()
    }

    private func join(_ started: StartedWatch, behind waiting: [UInt8]) {
        if waiting.count + started.bytes.count <= Self.joinedWrite {
            send(waiting + started.bytes)
        } else {
            send(waiting)
            send(started.bytes)
        }
        owner.seat(outlet, of: number, in: started)
    }

    private func countWatch() {
        let isWatching = session.watch != nil
        guard isWatching != isCounted else { return }
        owner.status.watchersChanged(by: isWatching ? 1 : -1)
        isCounted = isWatching
    }

    // MARK: The token

    private func authenticate() {
        guard let token else { return }
        let bound = LoopBound(self, loop: owner.loop)
        owner.desk.admit(token, from: client, to: []) { admission in
            bound.loop.post { bound.value.authenticated(admission) }
        }
    }

    private func authenticated(_ admission: FeedDesk.Admission) {
        switch admission {
        case .admitted(let principal):
            guard !session.isClosing else {
                owner.desk.released(principal)
                return
            }
            self.principal = principal
            noteExpiry()
            perform(session.authenticated())
        case .unauthorized, .refused:
            perform(session.authenticationFailed(HTTPRefusal.unauthorized.detail))
        case .limited(let seconds):
            perform(session.authenticationFailed(HTTPRefusal.tooManyLogins(seconds).detail))
        case .tooMany:
            perform(session.authenticationFailed("The token has all the connections to this gateway that it may have."))
        case .unavailable:
            perform(session.authenticationFailed("Tokens cannot be checked right now. Try again in a moment."))
        }
    }

    func tokenEnded(_ end: TokenEnd) {
        perform(session.tokenEnded(end))
    }

    func tokenChanged(_ principal: Principal) {
        let showsTheSame = self.principal?.token.grants == principal.token.grants
        self.principal = principal
        noteExpiry()
        // Another expiry alone is no reason to begin anew.
        if !showsTheSame { perform(session.grantsChanged()) }
    }

    // MARK: Feeds

    private func attach(_ ticket: UInt32, _ environment: EnvironmentPath, since cursor: Cursor?) {
        guard let principal, let access = principal.token.access(to: environment), access.canReadSomething else {
            // Deferred: the session is in the middle of the event that asked for this.
            let refusal = principal?.refusal(for: environment) ?? .forbidden
            owner.loop.defer { [self] in perform(session.notGranted(ticket, refusal)) }
            return
        }
        guard session.isRecorded(ticket) || access.visibility.secrets == .none || owner.desk.audit.hasRoom else {
            owner.loop.defer { [self] in perform(session.refused(ticket, .unavailable)) }
            return
        }
        let bound = LoopBound(self, loop: owner.loop)
        owner.desk.attach(
            AttachRequest(
                environment: environment,
                key: FeedGroup.Key(visibility: access.visibility, names: .everything, format: .socketIO),
                since: cursor.map { ResumePoint(revision: $0.revision, mark: $0.mark) },
                isConflated: cursor != nil,
                loop: owner.index,
                answer: { answer in bound.loop.post { bound.value.attachAnswered(ticket, answer) } }
            )
        )
    }

    /// Who may see secrets here leaves a row in the audit, as every watcher does (`WatchConnection`).
    private func recordRegistration(in environment: EnvironmentPath, _ id: String, isNew: Bool, requestID: String) {
        guard let token = principal?.token, let access = token.access(to: environment), access.visibility.secrets != .none else {
            _ = session.noteSecrets(false)
            return
        }
        guard !session.noteSecrets(true) || isNew else { return }
        owner.recordWatch(of: environment, id, by: token, requestID: requestID)
    }

    private func attachAnswered(_ ticket: UInt32, _ answer: AttachAnswer) {
        switch answer {
        case .started(let started):
            guard let actions = session.started(ticket, group: started.group, environment: started.environment) else {
                // Replaced or closed meanwhile: the seat was counted and is given back.
                owner.desk.left(started.group, on: owner.index)
                return
            }
            perform(actions, starting: started)
        case .page:
            // Only for those who ask for every change since a revision, which nobody does here.
            perform(session.refused(ticket, .unavailable))
        case .refused(let refusal):
            perform(session.refused(ticket, refusal))
        }
    }

    func outletFellBehind(_ group: GroupID, sent cursor: Cursor) {
        owner.metrics.fellBehind()
        owner.desk.left(group, on: owner.index)
        owner.ledger.left(number, group, sent: cursor.revision)
        session.fellBehind(group, sent: cursor)
        owner.loop.defer { [self] in
            // It may have been dropped without being blocked.
            if !outlet.isBlocked { perform(session.drained()) }
        }
    }

    func outletEnded(_ group: GroupID, _ reason: GroupEnd) {
        let actions = session.groupEnded(group, reason)
        owner.loop.defer { [self] in perform(actions) }
    }

    // MARK: Time

    /// The packets of Engine.IO are the heartbeat; `check` sends them when they are due.
    func heartbeat() {}

    func check() {
        guard !session.isClosing else { return }
        guard !outlet.isBlocked else {
            session.stalled(at: owner.seconds)
            // Whoever takes bytes is alive; whoever takes none is given up, and hears of it if he ever reads.
            if owner.now >= outlet.lastProgress + owner.configuration.stallLimit.wholeMilliseconds {
                perform(session.close(.tryAgainLater, "nothing was taken for too long"))
            }
            return
        }
        perform(session.beat(at: owner.seconds))
        // PostgreSQL was away when it asked last.
        if session.wantsToReturn { perform(session.drained()) }
    }

    func becameOverdue() {
        if session.isClosing {
            connection.close()
        } else {
            perform(session.registrationOverdue())
        }
    }

    /// The drain's turn to close this one. The client chooses its own time to come back.
    func sendAway(reconnectAfter milliseconds: Int) {
        perform(session.close(.serviceRestart, "drain"))
    }

    /// The service ends.
    func abandon() {
        connection.close()
    }
}
