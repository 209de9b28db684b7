// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Watches: the conversation on a connection whose handshake is done, by WebSocket or as an event stream.
// Flows through: bytes from clients into messages and events of a state machine, its actions out to the feeds and the socket's outlet.
// Owner: each connection belongs to the loop that accepted it and holds what it needs of the feeds as values.
// Must hold: nobody is told anything of an environment before the token was found good for it; every way out ends in one close code;
//   a connection that stands still costs a few hundred bytes and no timer of its own.

package import Store
package import Wire

/// What the connection has to do after an event, in this order.
package enum SessionAction: Equatable {
    case send([UInt8])
    case authenticate(String)
    /// Ask the feeds to let this watch in.
    case attach(ticket: UInt32, SubscribeRequest, isConflated: Bool)
    case join(ticket: UInt32)
    case leave(GroupID)
    /// Count the watch from now on, or otherwise than before. `isNew`: what it acknowledged until now was another subscription's.
    case enroll(EnvironmentPath, id: String, from: WatchStanding, to: WatchStanding, isNew: Bool)
    case acknowledge(EnvironmentPath, Acknowledgement)
    /// Count it no more.
    case dismiss(EnvironmentPath, from: WatchStanding)
    case close(WebSocketCloseCode, reason: String)
}

/// One connection's conversation, from the upgrade to the close frame. Times are whole seconds of any steady clock.
package struct WatchSessionStateMachine {
    package enum Phase: Equatable {
        case awaitingToken
        /// The token is being looked up; messages wait.
        case authenticating
        case open
        /// A close frame was sent; whatever comes is dropped.
        case closing
    }

    /// Where a watch is on its way.
    package enum Place: Equatable {
        /// Nothing was sent of it yet.
        case entering
        case live(GroupID)
        /// Fell behind; goes on from there once the socket has drained.
        case behind(Cursor)
        /// Far back in the log; the next page is asked for once this one has gone.
        case paging(Cursor)
        /// Asked again, from this cursor.
        case returning(Cursor, isConflated: Bool)
    }

    package struct Watch {
        /// The feed's own once it has let the watch in: shared by all who watch it.
        package fileprivate(set) var environment: WatchedEnvironment
        package fileprivate(set) var place = Place.entering
        /// The attach under way, 0 where there is none. Answers to older ones are too late.
        fileprivate(set) var ticket: UInt32 = 0
        /// What was granted last.
        fileprivate var names = NameSet.none
        /// How it is counted, which a request under way doesn't change.
        fileprivate(set) var standing = WatchStanding.uncounted
        /// The grants have changed since it was let in.
        fileprivate(set) var isStale = false
        /// Its secrets are shown, as the audit knows.
        fileprivate(set) var showsSecrets = false
        /// The client's request that is unanswered: `subscribed` is due.
        fileprivate var wish: Wish?

        var isRequested: Bool { wish != nil }
    }

    /// What a client asked for. On the heap: it is there for the time of an answer only.
    fileprivate final class Wish: Sendable {
        let id: MessageID?
        let names: NameSet
        let acks: Bool

        init(_ request: SubscribeRequest) {
            id = request.id
            names = request.names
            acks = request.acks
        }
    }

    package private(set) var phase: Phase
    package private(set) var watches = SmallArray<Watch>()
    private let frames: SessionFrames
    private let limits: WatchLimits
    private var held: [ClientMessage] = []
    private var lastTicket: UInt32 = 0
    private var second: UInt32 = 0
    private var messages: UInt16 = 0

    /// With a token that came in the request, or waiting for one.
    package init(isAuthenticated: Bool, format: WatchFormat = .webSocket, limits: WatchLimits = WatchLimits()) {
        self.limits = limits
        phase = isAuthenticated ? .open : .awaitingToken
        frames = SessionFrames(format)
    }

    package var isClosing: Bool { phase == .closing }

    // MARK: Messages

    package mutating func received(_ message: ClientMessage, at now: UInt32) -> [SessionAction] {
        guard phase != .closing else { return [] }
        guard isExpected(message) || allow(at: now) else {
            return close(.tooFast, "more than \(limits.messagesPerSecond) messages a second")
        }
        return handle(message)
    }

    /// The word of a watch that promised it: there may be as many as frames, and those are the server's doing.
    private func isExpected(_ message: ClientMessage) -> Bool {
        guard case .ack(let environment, _, _, _) = message else { return false }
        return watches.contains { $0.environment.text == environment && $0.standing == .acknowledging }
    }

    package mutating func received(_ fault: ClientMessage.Fault, at now: UInt32) -> [SessionAction] {
        guard phase != .closing else { return [] }
        guard allow(at: now) else { return close(.tooFast, "more than \(limits.messagesPerSecond) messages a second") }
        switch fault {
        case .bad(let message):
            return [.send(frames.error(code: "bad_message", message: message))] + close(.badMessage, message)
        case .refused(let id, let environment, let message):
            return [.send(frames.error(code: "invalid", message: message, id: id, environment: environment))]
        }
    }

    private mutating func allow(at now: UInt32) -> Bool {
        if now != second {
            second = now
            messages = 0
        }
        messages += 1
        return messages <= limits.messagesPerSecond
    }

    private mutating func handle(_ message: ClientMessage) -> [SessionAction] {
        switch phase {
        case .awaitingToken:
            guard case .authenticate(let token) = message else {
                return close(.notAuthenticated, "send 'authenticate' with a token first")
            }
            phase = .authenticating
            return [.authenticate(token)]
        case .authenticating:
            held.append(message)
            return []
        case .open:
            return handleOpen(message)
        case .closing:
            return []
        }
    }

    private mutating func handleOpen(_ message: ClientMessage) -> [SessionAction] {
        switch message {
        case .authenticate:
            return [.send(frames.error(code: "already_authenticated", message: "This connection has its token."))]
        case .subscribe(let request):
            return subscribe(request)
        case .unsubscribe(let id, let environment):
            guard let index = watches.firstIndex(where: { $0.environment.text == environment }) else {
                return notSubscribed(environment, id)
            }
            return ending(watches.remove(at: index)) + [.send(frames.unsubscribed(environment: environment))]
        case .ack(let environment, let revision, let status, let message):
            guard let watch = watches.first(where: { $0.environment.text == environment }) else {
                return notSubscribed(environment, nil)
            }
            // Nobody waits for the word of a watch that didn't offer it.
            guard watch.standing == .acknowledging else { return [] }
            return [.acknowledge(watch.environment.path, Acknowledgement(revision: revision, status: status, message: message))]
        }
    }

    private func notSubscribed(_ environment: String, _ id: MessageID?) -> [SessionAction] {
        let text = "This connection doesn't watch it."
        return [.send(frames.error(code: "not_subscribed", message: text, id: id, environment: environment))]
    }

    /// A `subscribe` message, or the query of the URL.
    package mutating func subscribe(_ request: SubscribeRequest) -> [SessionAction] {
        lastTicket &+= 1
        if let index = watches.firstIndex(where: { $0.environment.path == request.environment }) {
            // The new filter replaces the old one when the feed has answered; until then a live watch goes on.
            switch watches[index].place {
            case .entering, .live, .behind, .paging: break
            case .returning(let cursor, let isConflated): watches[index].place = isConflated ? .behind(cursor) : .paging(cursor)
            }
            watches[index].ticket = lastTicket
            watches[index].wish = Wish(request)
        } else {
            guard watches.count < Int(limits.environments) else {
                let text = "A connection watches at most \(limits.environments) environments."
                let name = request.environment.description
                return [.send(frames.error(code: "too_many_environments", message: text, id: request.id, environment: name))]
            }
            let environment = WatchedEnvironment(path: request.environment, id: "")
            watches.append(Watch(environment: environment, ticket: lastTicket, wish: Wish(request)))
        }
        return [.attach(ticket: lastTicket, request, isConflated: false)]
    }

    private func leaving(_ place: Place) -> [SessionAction] {
        switch place {
        case .live(let group): [.leave(group)]
        case .entering, .behind, .paging, .returning: []
        }
    }

    /// What is left to do for a watch that is none any more.
    private func ending(_ watch: Watch) -> [SessionAction] {
        leaving(watch.place) + (watch.standing == .uncounted ? [] : [.dismiss(watch.environment.path, from: watch.standing)])
    }

    // MARK: The token

    package mutating func authenticated() -> [SessionAction] {
        switch phase {
        case .authenticating:
            phase = .open
            let waiting = held
            held = []
            return waiting.flatMap { handle($0) }
        case .closing, .awaitingToken, .open:
            // Closed while the token was looked up.
            return []
        }
    }

    package mutating func authenticationFailed(_ code: WebSocketCloseCode, _ reason: String) -> [SessionAction] {
        guard phase == .authenticating else { return [] }
        return close(code, reason)
    }

    /// The deadline for a token.
    package mutating func tokenOverdue() -> [SessionAction] {
        switch phase {
        case .awaitingToken, .authenticating: close(.noAuthentication, "no token in time")
        case .open, .closing: []
        }
    }

    package mutating func tokenEnded(_ end: TokenEnd) -> [SessionAction] {
        guard phase == .open else { return [] }
        return [.send(frames.closing(end.rawValue))] + close(.notAuthenticated, "the token is \(end.rawValue)")
    }

    /// The grants changed: what each watch may see is asked for anew, from a snapshot.
    package mutating func grantsChanged() -> [SessionAction] {
        guard phase == .open else { return [] }
        var actions: [SessionAction] = []
        for index in watches.indices {
            lastTicket &+= 1
            watches[index].ticket = lastTicket
            watches[index].isStale = true
            actions.append(attach(watches[index], since: nil, isConflated: false))
        }
        return actions
    }

    private func attach(_ watch: Watch, since cursor: Cursor?, isConflated: Bool) -> SessionAction {
        let request = SubscribeRequest(
            id: watch.wish?.id,
            environment: watch.environment.path,
            since: cursor.map { ResumePoint(revision: $0.revision, mark: $0.mark) },
            names: watch.wish?.names ?? watch.names
        )
        return .attach(ticket: watch.ticket, request, isConflated: isConflated)
    }

    // MARK: Answers of the feeds

    private func index(of ticket: UInt32) -> Int? {
        ticket == 0 ? nil : watches.firstIndex { $0.ticket == ticket }
    }

    /// The feed let the watch into a group; false when nobody wants it any more, and the seat must be given back.
    package mutating func started(_ ticket: UInt32, group: GroupID, environment: WatchedEnvironment) -> [SessionAction]? {
        guard phase == .open, let index = index(of: ticket) else { return nil }
        var actions = leaving(watches[index].place)
        actions += granted(index, environment)
        actions.append(.join(ticket: ticket))
        watches[index].place = .live(group)
        watches[index].ticket = 0
        return actions
    }

    /// The feed gave a part of a long way back.
    package mutating func pageCame(
        _ ticket: UInt32,
        _ bytes: [UInt8],
        upTo cursor: Cursor,
        environment: WatchedEnvironment
    ) -> [SessionAction] {
        guard phase == .open, let index = index(of: ticket) else { return [] }
        var actions = leaving(watches[index].place)
        actions += granted(index, environment)
        actions.append(.send(bytes))
        watches[index].place = .paging(cursor)
        watches[index].ticket = 0
        return actions
    }

    private mutating func granted(_ index: Int, _ environment: WatchedEnvironment) -> [SessionAction] {
        let old = watches[index].standing
        let path = environment.path
        watches[index].environment = environment
        watches[index].isStale = false
        guard let wish = watches[index].wish else {
            return [.enroll(path, id: environment.id, from: old, to: old, isNew: false)]
        }
        let standing: WatchStanding = wish.acks ? .acknowledging : .silent
        watches[index].wish = nil
        watches[index].names = wish.names
        watches[index].standing = standing
        return [
            .enroll(path, id: environment.id, from: old, to: standing, isNew: true),
            .send(frames.subscribed(id: wish.id, environment: environment)),
        ]
    }

    package mutating func refused(_ ticket: UInt32, _ refusal: AttachRefusal) -> [SessionAction] {
        guard phase == .open, let index = index(of: ticket) else { return [] }
        let watch = watches[index]
        watches[index].ticket = 0
        if refusal == .unavailable, case .returning(let cursor, let isConflated) = watch.place {
            // An open watch stays: it asks again at the next beat.
            watches[index].place = isConflated ? .behind(cursor) : .paging(cursor)
            return []
        }
        let name = watch.environment.text
        let text = refusal.message(name)
        if let wish = watch.wish {
            let answer = SessionAction.send(frames.error(code: refusal.rawValue, message: text, id: wish.id, environment: name))
            watches[index].wish = nil
            switch watch.place {
            // A refused change of the filter leaves the watch as it was.
            case .live, .behind, .paging: return [answer]
            case .entering, .returning: break
            }
            let left = ending(watches.remove(at: index)) + [answer]
            // A stream cannot ask again: it ends, and its reader comes back.
            return frames.format == .events ? left + close(refusal.closeCode, text) : left
        }
        // What the changed grants show cannot be found out right now: it is asked for again at the next beat.
        if refusal == .unavailable, watch.isStale { return [] }
        return ending(watches.remove(at: index)) + ended(name, refusal)
    }

    /// The token's grants don't reach that far. Whoever watched until now may know that the environment is still there.
    package mutating func notGranted(_ ticket: UInt32, _ refusal: AttachRefusal) -> [SessionAction] {
        guard let index = index(of: ticket) else { return [] }
        return refused(ticket, watches[index].isRequested ? refusal : .forbidden)
    }

    /// Something that was watched cannot be any more.
    private mutating func ended(_ environment: String, _ refusal: AttachRefusal) -> [SessionAction] {
        let isLast = watches.isEmpty
        switch refusal {
        case .notFound:
            let farewell = frames.closing("deleted", environment: isLast ? nil : environment)
            return [.send(farewell)] + (isLast ? close(.noEnvironment, "the environment was deleted") : [])
        case .forbidden, .unavailable:
            let text = refusal.message(environment)
            let error = frames.error(code: refusal.rawValue, message: text, environment: environment)
            return [.send(error)] + (isLast ? close(refusal.closeCode, text) : [])
        }
    }

    /// Whether the watch shows secrets now; returns whether it did.
    mutating func noteSecrets(_ shown: Bool, in environment: EnvironmentPath) -> Bool {
        guard let index = watches.firstIndex(where: { $0.environment.path == environment }) else { return false }
        return exchange(&watches[index].showsSecrets, with: shown)
    }

    // MARK: The groups and the socket

    /// The outlet has left the group already.
    package mutating func fellBehind(_ group: GroupID, sent cursor: Cursor) {
        guard let index = watches.firstIndex(where: { $0.place == .live(group) }) else { return }
        watches[index].place = .behind(cursor)
    }

    package mutating func groupEnded(_ group: GroupID, _ reason: GroupEnd) -> [SessionAction] {
        guard phase != .closing, let index = watches.firstIndex(where: { $0.place == .live(group) }) else { return [] }
        var watch = watches.remove(at: index)
        // The outlet has left the group already.
        watch.place = .entering
        let name = watch.environment.text
        switch reason {
        case .deleted: return ending(watch) + ended(name, .notFound)
        case .unreadable: return ending(watch) + ended(name, .unavailable)
        }
    }

    /// Nothing waits on the socket: those who are behind may go on.
    package mutating func drained() -> [SessionAction] {
        guard phase == .open else { return [] }
        var actions: [SessionAction] = []
        // A changed filter, or an attach under way, starts over by itself.
        for index in watches.indices where watches[index].ticket == 0 {
            let (cursor, isConflated): (Cursor, Bool)
            switch watches[index].place {
            case _ where watches[index].isStale:
                lastTicket &+= 1
                watches[index].ticket = lastTicket
                actions.append(attach(watches[index], since: nil, isConflated: false))
                continue
            case .behind(let place): (cursor, isConflated) = (place, true)
            case .paging(let place): (cursor, isConflated) = (place, false)
            case .entering, .live, .returning: continue
            }
            lastTicket &+= 1
            watches[index].ticket = lastTicket
            watches[index].place = .returning(cursor, isConflated: isConflated)
            actions.append(attach(watches[index], since: cursor, isConflated: isConflated))
        }
        return actions
    }

    /// Somebody waits to go on and has no attach under way.
    package var wantsToReturn: Bool {
        watches.contains { watch in
            guard watch.ticket == 0 else { return false }
            switch watch.place {
            case .behind, .paging: return true
            case .entering, .live, .returning: return watch.isStale
            }
        }
    }

    // MARK: Closing

    package mutating func close(_ code: WebSocketCloseCode, _ reason: String) -> [SessionAction] {
        guard phase != .closing else { return [] }
        phase = .closing
        held = []
        let left = watches.flatMap { ending($0) }
        watches.removeAll()
        return left + [.close(code, reason: reason)]
    }
}
