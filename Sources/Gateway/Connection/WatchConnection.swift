// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor
import Store
import Wire

/// One connection that watches, by WebSocket or as an event stream: drives its session's state machine. Confined to its loop; the loop's table and the connection hold it.
final class WatchConnection: ConnectionHandler, OutletOwner, Overdue, LoopSocket {
    /// A client that asks without reading the answers is not read any further.
    private static let queueLimit = 256 * 1024
    /// Start bytes up to this size go out in one write with what came before them.
    private static let joinedWrite = 32 * 1024
    /// Longer than the stall limit, whose verdict is to come first.
    private static let streamLimit = Duration.seconds(75)

    private let connection: Connection
    private let owner: SocketLoop
    private let outlet: Outlet
    private var session: WatchSessionStateMachine
    private var parser: WebSocketParser
    private(set) var principal: Principal?
    /// Its place in the loop's table, which keeps it true.
    var place = SocketTable.Place(bucket: 0, index: 0)
    /// Subscriptions of the URL that wait for a token.
    private var deferred: [SubscribeRequest] = []
    private var heardAt: UInt32
    private var liveCount: Int32 = 0
    /// Names it among the loop's connections.
    private let number: UInt32
    /// Whose wrong token it would be.
    private let client: LoginClient
    private var closeCode: UInt16 = 0
    private let format: WatchFormat
    private var isFinishing = false

    /// Takes over a connection, which counts as open already.
    init(_ connection: Connection, principal: Principal?, from client: LoginClient, format: WatchFormat, on owner: SocketLoop) {
        self.connection = connection
        self.owner = owner
        self.principal = principal
        self.client = client
        self.format = format
        session = WatchSessionStateMachine(isAuthenticated: principal != nil, format: format, limits: owner.configuration.limits)
        parser = WebSocketParser(
            role: .server,
            maximumMessage: owner.configuration.maximumMessage,
            inflates: format == .deflated
        )
        heardAt = owner.seconds
        number = owner.nextConnectionNumber()
        outlet = Outlet(connection, hub: owner.hub)
        outlet.owner = self
        place = owner.add(self)
        noteExpiry()
    }

    private var frames: SessionFrames { SessionFrames(format) }

    /// Sends the head of the answer with `ready`, subscribes to what the URL names, and reads what the client sent behind its head.
    func begin(_ answer: [UInt8], _ identity: HandshakeIdentity, requests: [SubscribeRequest], received rest: [UInt8]) {
        connection.replaceHandler(self)
        owner.opened(number, identity, format, subscriptions: requests.count)
        // Nobody answers on an event stream, and a reader that has vanished would be believed in for a quarter of an hour.
        if format == .events { connection.limitUnacknowledged(to: Self.streamLimit) }
        let configuration = owner.configuration
        let ready = frames.ready(
            connection: owner.connectionName(number),
            gateway: configuration.name,
            heartbeat: configuration.heartbeat
        )
        outlet.send(answer + ready)
        if principal == nil {
            deferred = requests
            owner.setDeadline(configuration.authenticationDeadline, for: self)
        } else {
            for request in requests { perform(session.subscribe(request)) }
        }
        connection.resumeReading()
        if !rest.isEmpty { self.connection(connection, received: rest.span) }
    }

    var isClosing: Bool { session.isClosing }

    /// When the token expires, in milliseconds since 1970.
    var expiry: Int64? { principal?.expiry }

    private func noteExpiry() {
        if let expiry { owner.noteExpiry(expiry) }
    }

    // MARK: Bytes

    func connection(_ connection: Connection, received bytes: Span<UInt8>) {
        heardAt = owner.seconds
        // Nobody has anything to say on an event stream.
        guard !isFinishing, format != .events else { return }
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
            do throws(ClientMessage.Fault) {
                perform(session.received(try ClientMessage(parsing: payload), at: owner.seconds))
            } catch {
                perform(session.received(error, at: owner.seconds))
            }
        case .binary:
            perform(session.close(.unsupportedData, "messages are JSON text"))
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
            finishWhenSent()
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
        for case .dismiss(let environment, let standing) in session.close(.abnormal, "") {
            owner.ledger.dismiss(number, in: environment, from: standing)
        }
        owner.closed(number, code: closeCode == 0 ? WebSocketCloseCode.abnormal.rawValue : closeCode)
        if let principal { owner.desk.released(principal) }
        countWatches()
        owner.remove(self)
    }

    // MARK: Actions

    /// `starting` is the answer that a `join` among the actions belongs to.
    private func perform(_ actions: [SessionAction], starting: StartedWatch? = nil) {
        guard !actions.isEmpty else { return }
        // Small frames in a row leave in one write.
        var waiting: [UInt8] = []
        for action in actions {
            switch action {
            case .send(let bytes):
                if waiting.count + bytes.count > Self.joinedWrite, !waiting.isEmpty {
                    send(waiting)
                    waiting = []
                }
                waiting = waiting.isEmpty ? bytes : waiting + bytes
            case .authenticate(let token):
                authenticate(token)
            case .attach(let ticket, let request, let isConflated):
                attach(ticket, request, isConflated: isConflated)
            case .join:
                guard let started = starting else { continue }
                if waiting.count + started.bytes.count <= Self.joinedWrite {
                    send(waiting + started.bytes)
                } else {
                    send(waiting)
                    send(started.bytes)
                }
                waiting = []
                owner.seat(outlet, of: number, in: started)
            case .leave(let group):
                owner.ledger.left(number, group, sent: sentRevision(in: group))
                owner.leave(group, outlet)
            case .enroll(let environment, let id, let old, let new, let isNew):
                owner.ledger.enroll(number, in: environment, id: id, from: old, to: new, isNew: isNew)
                let requestID = isNew ? owner.subscribed(number, to: environment) : owner.connectionName(number)
                recordSubscription(to: environment, id, isNew: isNew, requestID: requestID)
            case .dismiss(let environment, let standing):
                owner.ledger.dismiss(number, in: environment, from: standing)
            case .acknowledge(let environment, let acknowledgement):
                waiting += acknowledge(environment, acknowledgement)
            case .close(let code, let reason):
                if format != .events { WebSocketFrame.appendClose(code == .noStatus ? nil : code, reason: reason, to: &waiting) }
                closeCode = code.rawValue
                owner.setDeadline(owner.closeDeadline, for: self)
            }
        }
        if !waiting.isEmpty { send(waiting) }
        countWatches()
        // An event stream has no farewell to wait for.
        if format == .events, session.isClosing { finishWhenSent() }
        if session.wantsToReturn, !outlet.isBlocked {
            // After this event, never inside it: a page that went out at once asks for the next.
            owner.loop.defer { [self] in
                if !outlet.isBlocked { perform(session.drained()) }
            }
        }
    }

    /// The answer, which only a wrong acknowledgement gets.
    private func acknowledge(_ environment: EnvironmentPath, _ acknowledgement: Acknowledgement) -> [UInt8] {
        var sent: Int64?
        if case .live(let group) = session.watches.first(where: { $0.environment.path == environment })?.place {
            sent = sentRevision(in: group)
        }
        guard !owner.ledger.acknowledged(acknowledgement, by: number, in: environment, sent: sent) else { return [] }
        let text = "Revision \(acknowledgement.revision) was not sent to this connection: acknowledge the 'revision' of a frame."
        return frames.error(code: "invalid", message: text, environment: environment.description)
    }

    private func sentRevision(in group: GroupID) -> Int64? {
        owner.hub.group(group).flatMap { outlet.sentCursor(in: $0) }?.revision
    }

    private func countWatches() {
        let count = Int32(session.watches.count)
        guard count != liveCount else { return }
        owner.status.watchersChanged(by: Int(count - liveCount))
        liveCount = count
    }

    /// Our close frame and theirs have been exchanged: the connection ends as soon as everything has gone.
    private func finishWhenSent() {
        isFinishing = true
        if !outlet.isBlocked { connection.close() }
    }

    // MARK: Tokens

    private func authenticate(_ token: String) {
        let bound = LoopBound(self, loop: owner.loop)
        let desk = owner.desk
        desk.admit(token, from: client, to: []) { admission in
            bound.loop.post { bound.value.authenticated(admission) }
        }
    }

    private func authenticated(_ admission: FeedDesk.Admission) {
        switch admission {
        case .admitted(let principal):
            guard session.phase == .authenticating else {
                // Closed meanwhile.
                owner.desk.released(principal)
                return
            }
            self.principal = principal
            noteExpiry()
            owner.clearDeadline(for: self)
            let requests = deferred
            deferred = []
            let held = session.authenticated()
            for request in requests { perform(session.subscribe(request)) }
            perform(held)
        case .unauthorized, .refused:
            perform(session.authenticationFailed(.notAuthenticated, "the token is not valid"))
        case .limited:
            perform(session.authenticationFailed(.tooFast, "the token is not valid, and so were too many others from this address"))
        case .unavailable:
            perform(session.authenticationFailed(.tryAgainLater, "tokens cannot be checked right now"))
        case .tooMany:
            perform(session.authenticationFailed(.tryAgainLater, "the token has all the connections here that it may have"))
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

    private func attach(_ ticket: UInt32, _ request: SubscribeRequest, isConflated: Bool) {
        guard let principal, let access = principal.token.access(to: request.environment), access.canReadSomething else {
            // Deferred: the session is in the middle of the event that asked for this.
            let refusal = principal?.refusal(for: request.environment) ?? .forbidden
            owner.loop.defer { [self] in perform(session.notGranted(ticket, refusal)) }
            return
        }
        let isRecorded = session.watches.contains { $0.ticket == ticket && $0.showsSecrets && !$0.isRequested }
        guard isRecorded || access.visibility.secrets == .none || owner.desk.audit.hasRoom else {
            owner.loop.defer { [self] in perform(session.refused(ticket, .unavailable)) }
            return
        }
        let bound = LoopBound(self, loop: owner.loop)
        owner.desk.attach(
            AttachRequest(
                environment: request.environment,
                key: FeedGroup.Key(visibility: access.visibility, names: request.names, format: format),
                since: request.since,
                isConflated: isConflated,
                loop: owner.index,
                answer: { answer in bound.loop.post { bound.value.attachAnswered(ticket, answer) } }
            )
        )
    }

    /// Who may see secrets here, with a subscription or since other grants came to it, leaves a row in the audit.
    private func recordSubscription(to environment: EnvironmentPath, _ id: String, isNew: Bool, requestID: String) {
        guard let token = principal?.token, let access = token.access(to: environment), access.visibility.secrets != .none else {
            _ = session.noteSecrets(false, in: environment)
            return
        }
        guard !session.noteSecrets(true, in: environment) || isNew else { return }
        owner.recordWatch(of: environment, id, by: token, requestID: requestID)
    }

    private func attachAnswered(_ ticket: UInt32, _ answer: AttachAnswer) {
        switch answer {
        case .started(let started):
            guard let actions = session.started(ticket, group: started.group, environment: started.environment) else {
                // Unsubscribed or closed meanwhile: the seat was counted and is given back.
                owner.desk.left(started.group, on: owner.index)
                return
            }
            perform(actions, starting: started)
        case .page(let bytes, let cursor, let environment):
            let actions = session.pageCame(ticket, bytes, upTo: cursor, environment: environment)
            // Unsubscribed or closed meanwhile: nothing was sent.
            guard !actions.isEmpty else { return }
            perform(actions)
            owner.ledger.paged(number, in: environment.path, sent: cursor.revision)
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

    func heartbeat() {
        // What waits is sign of life enough; another heartbeat would only wait behind it.
        guard !session.isClosing, session.phase == .open, !outlet.isBlocked else { return }
        var heads: [(environment: String, cursor: Cursor)] = []
        for watch in session.watches {
            let cursor: Cursor?
            switch watch.place {
            case .live(let group): cursor = owner.hub.group(group).flatMap { outlet.sentCursor(in: $0) }
            case .behind(let place), .paging(let place), .returning(let place, _): cursor = place
            case .entering: cursor = nil
            }
            if let cursor { heads.append((watch.environment.text, cursor)) }
        }
        var bytes = frames.heartbeat(heads)
        if format != .events { WebSocketFrame.append(.ping, [], to: &bytes) }
        send(bytes)
    }

    func check() {
        guard !session.isClosing else { return }
        if outlet.isBlocked {
            // No ping goes out behind bytes that wait: the time for its answer begins when they have gone.
            heardAt = owner.seconds
            // Whoever takes bytes is alive; whoever takes none is given up, and hears of it if he ever reads.
            if owner.now >= outlet.lastProgress + owner.configuration.stallLimit.wholeMilliseconds {
                perform(session.close(.tryAgainLater, "nothing was taken for too long"))
            }
        } else if format != .events, owner.seconds >= heardAt + UInt32(owner.configuration.silenceLimit.wholeMilliseconds / 1000) {
            perform(session.close(.goingAway, "nothing was heard for too long"))
        } else if session.wantsToReturn {
            // PostgreSQL was away when it asked last.
            perform(session.drained())
        }
    }

    func becameOverdue() {
        if session.isClosing {
            connection.close()
        } else {
            perform(session.tokenOverdue())
        }
    }

    /// The drain's turn to close this one.
    func sendAway(reconnectAfter milliseconds: Int) {
        guard !session.isClosing else { return }
        perform([.send(frames.closing("drain", reconnectAfter: milliseconds))] + session.close(.serviceRestart, "drain"))
    }

    /// The service ends.
    func abandon() {
        if !session.isClosing { perform([.send(frames.closing("shutdown"))] + session.close(.goingAway, "shutdown")) }
        connection.close()
    }
}
