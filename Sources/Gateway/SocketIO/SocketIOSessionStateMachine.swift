// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Store
package import Wire

/// What the connection has to do after an event, in this order.
package enum SocketIOAction: Equatable {
    case send([UInt8])
    /// Ask whether the token of the upgrade is good.
    case authenticate
    /// Ask the feeds to let this registration in, or to let it go on from a cursor with the newest values.
    case attach(ticket: UInt32, EnvironmentPath, since: Cursor?)
    case join(ticket: UInt32)
    case leave(GroupID)
    /// Count the watch from now on. `isNew`: the client asked for it just now.
    case enroll(EnvironmentPath, id: String, from: WatchStanding, isNew: Bool)
    /// Count it no more.
    case dismiss(EnvironmentPath)
    /// A registration is due in time, or is not any more.
    case expectRegistration
    case registered
    case close(WebSocketCloseCode, reason: String)
}

/// One Socket.IO conversation, from the upgrade to the close frame. Times are whole seconds of any steady clock.
package struct SocketIOSessionStateMachine {
    package struct Timing: Sendable {
        package let pingInterval: UInt32
        package let pingTimeout: UInt32

        package init(pingInterval: UInt32, pingTimeout: UInt32) {
            self.pingInterval = pingInterval
            self.pingTimeout = pingTimeout
        }
    }

    /// Where the watch is on its way.
    package enum Place: Equatable {
        case live(GroupID)
        /// Fell behind; goes on from there once the socket has drained.
        case behind(Cursor)
        /// Asked again, from this cursor.
        case returning(Cursor)
    }

    package struct Watch {
        package let environment: WatchedEnvironment
        package fileprivate(set) var place: Place
        /// The attach under way, 0 where there is none. Answers to older ones are too late.
        fileprivate(set) var ticket: UInt32 = 0
        /// The grants have changed since it was let in.
        fileprivate var isStale = false
        /// Its secrets are shown, as the audit knows.
        fileprivate(set) var showsSecrets = false
    }

    private enum Token {
        case missing, unchecked, checking, good
    }

    private struct Registration {
        let environment: EnvironmentPath
        let ackID: Int?
        /// 0 until the token was found good.
        var ticket: UInt32 = 0
    }

    package private(set) var isClosing = false
    package private(set) var watch: Watch?
    private var token: Token
    private var registration: Registration?
    private var isInMain = false
    private var isInNotifier = false
    private var isAwaitingPong = false
    private var pingedAt: UInt32
    private var second: UInt32 = 0
    private var messages: UInt16 = 0
    private var lastTicket: UInt32 = 0
    private let timing: Timing
    private let messageRate: UInt16

    /// `messageRate` is what the client may send in a second.
    package init(hasToken: Bool, timing: Timing, messageRate: UInt16, at now: UInt32) {
        token = hasToken ? .unchecked : .missing
        self.timing = timing
        self.messageRate = messageRate
        pingedAt = now
    }

    // MARK: Messages

    /// `sid` is what the client knows the connection by.
    package mutating func received(_ message: SocketIOMessage, sid: String, at now: UInt32) -> [SocketIOAction] {
        guard !isClosing else { return [] }
        guard allow(at: now) else {
            return end(.tooFast, "more than \(messageRate) messages a second")
        }
        switch message {
        case .nothing:
            return []
        case .pong:
            isAwaitingPong = false
            return []
        case .ping(let payload):
            return [packet { SocketIOFrame.append(.pong, payload: payload, to: &$0) }]
        case .close:
            return close(.normal, "")
        case .connect(let namespace):
            return connect(namespace, sid)
        case .disconnect(let namespace):
            return disconnect(namespace)
        case .register(let environment, let ackID):
            return isInNotifier ? register(environment, ackID) : notConnected()
        case .misregister(let reason, let ackID):
            return isInNotifier ? answer(ackID, isSuccess: false, reason) : notConnected()
        case .other(let namespace):
            let isConnected = namespace == "/" ? isInMain : namespace == SocketIOMessage.namespace && isInNotifier
            return isConnected ? [] : notConnected()
        }
    }

    /// A packet that Socket.IO's own servers close a connection for, too.
    package mutating func received(_ fault: SocketIOFault) -> [SocketIOAction] {
        close(.badMessage, fault.message)
    }

    private mutating func allow(at now: UInt32) -> Bool {
        if now != second {
            second = now
            messages = 0
        }
        messages += 1
        return messages <= messageRate
    }

    private mutating func notConnected() -> [SocketIOAction] {
        close(.badMessage, "the namespace is not connected")
    }

    private mutating func connect(_ namespace: String, _ sid: String) -> [SocketIOAction] {
        if namespace == SocketIOMessage.namespace {
            isInNotifier = true
        } else if namespace == "/" {
            isInMain = true
        } else {
            return [packet { SocketIOFrame.appendConnectError(namespace: namespace, message: "Invalid namespace", to: &$0) }]
        }
        return [packet { SocketIOFrame.appendConnected(namespace: namespace, sid: sid + namespace, to: &$0) }]
    }

    private mutating func disconnect(_ namespace: String) -> [SocketIOAction] {
        if namespace == "/" { isInMain = false }
        guard namespace == SocketIOMessage.namespace, isInNotifier else { return [] }
        isInNotifier = false
        // The time for a registration runs on where there was none yet.
        guard watch != nil || registration != nil else { return [] }
        registration = nil
        return forget() + [.expectRegistration]
    }

    // MARK: Registration

    private mutating func register(_ environment: EnvironmentPath, _ ackID: Int?) -> [SocketIOAction] {
        // The newest counts. Who waits for an acknowledgement of the older one gets it; an event could be taken for the newer one's.
        var actions: [SocketIOAction] = []
        if let ackID = registration?.ackID {
            actions = [acknowledgement(ackID, isSuccess: false, "A newer registration replaced this one.")]
        }
        registration = Registration(environment: environment, ackID: ackID)
        switch token {
        case .missing:
            actions += registrationFailed("There is no token: send it in the x-keyshade-token header.")
        case .unchecked:
            token = .checking
            actions.append(.authenticate)
        case .checking:
            break
        case .good:
            actions += attachRegistration()
        }
        return actions
    }

    private mutating func attachRegistration() -> [SocketIOAction] {
        guard let environment = registration?.environment else { return [] }
        lastTicket &+= 1
        registration?.ticket = lastTicket
        return [.attach(ticket: lastTicket, environment, since: nil)]
    }

    private mutating func registrationFailed(_ reason: String) -> [SocketIOAction] {
        let ackID = registration?.ackID
        registration = nil
        return answer(ackID, isSuccess: false, reason)
    }

    /// The event that keyshade's clients wait for, behind the acknowledgement for those who asked for one.
    private func answer(_ ackID: Int?, isSuccess: Bool, _ message: String) -> [SocketIOAction] {
        let event = packet {
            SocketIOFrame.appendEvent("client-registered", Self.result(isSuccess, message), namespace: SocketIOMessage.namespace, to: &$0)
        }
        return ackID.map { [acknowledgement($0, isSuccess: isSuccess, message), event] } ?? [event]
    }

    private func acknowledgement(_ id: Int, isSuccess: Bool, _ message: String) -> SocketIOAction {
        packet { SocketIOFrame.appendAcknowledgement(id, Self.result(isSuccess, message), namespace: SocketIOMessage.namespace, to: &$0) }
    }

    private static func result(_ isSuccess: Bool, _ message: String) -> [UInt8] {
        var json: [UInt8] = []
        json.append(isSuccess ? #"{"success":true,"message":"# : #"{"success":false,"message":"#)
        JSONText.append(quoted: message, to: &json)
        json.append(UInt8(ascii: "}"))
        return json
    }

    private func packet(_ write: (inout [UInt8]) -> Void) -> SocketIOAction {
        var bytes: [UInt8] = []
        write(&bytes)
        return .send(bytes)
    }

    /// The deadline for a registration.
    package mutating func registrationOverdue() -> [SocketIOAction] {
        guard !isClosing, watch == nil else { return [] }
        return end(.noAuthentication, "no registration in time")
    }

    // MARK: The token

    package mutating func authenticated() -> [SocketIOAction] {
        // Closed while the token was looked up.
        guard !isClosing, token == .checking else { return [] }
        token = .good
        return attachRegistration()
    }

    /// The next registration asks again.
    package mutating func authenticationFailed(_ reason: String) -> [SocketIOAction] {
        guard !isClosing, token == .checking else { return [] }
        token = .unchecked
        return registration == nil ? [] : registrationFailed(reason)
    }

    package mutating func tokenEnded(_ reason: TokenEnd) -> [SocketIOAction] {
        end(.notAuthenticated, "the token is \(reason.rawValue)")
    }

    /// What the watch may see is asked for anew.
    package mutating func grantsChanged() -> [SocketIOAction] {
        guard !isClosing else { return [] }
        // A registration under way was asked for with the old grants.
        let renewed = (registration?.ticket ?? 0) > 0 ? attachRegistration() : []
        guard watch != nil else { return renewed }
        watch?.isStale = true
        return renewed + attachAgain(since: nil)
    }

    private mutating func attachAgain(since cursor: Cursor?) -> [SocketIOAction] {
        guard let path = watch?.environment.path else { return [] }
        lastTicket &+= 1
        watch?.ticket = lastTicket
        return [.attach(ticket: lastTicket, path, since: cursor)]
    }

    // MARK: Answers of the feeds

    /// Whether the ticket's secrets are in the audit already.
    func isRecorded(_ ticket: UInt32) -> Bool {
        watch?.ticket == ticket && watch?.showsSecrets == true
    }

    /// Whether the watch shows secrets now; returns whether it did.
    mutating func noteSecrets(_ shown: Bool) -> Bool {
        let before = watch?.showsSecrets == true
        watch?.showsSecrets = shown
        return before
    }

    /// The feed let the watch into a group; nil when nobody wants it any more, and the seat must be given back.
    package mutating func started(_ ticket: UInt32, group: GroupID, environment: WatchedEnvironment) -> [SocketIOAction]? {
        guard !isClosing, ticket > 0 else { return nil }
        var actions: [SocketIOAction] = []
        if let old = watch, old.ticket == ticket {
            if case .live(let group) = old.place { actions.append(.leave(group)) }
            watch = Watch(environment: environment, place: .live(group), showsSecrets: old.showsSecrets)
            actions.append(.enroll(environment.path, id: environment.id, from: .silent, isNew: false))
        } else if let new = registration, new.ticket == ticket {
            actions = forget()
            registration = nil
            watch = Watch(environment: environment, place: .live(group))
            actions.append(.enroll(environment.path, id: environment.id, from: .uncounted, isNew: true))
            actions += [.registered] + answer(new.ackID, isSuccess: true, "Registration Successful")
        } else {
            return nil
        }
        return actions + [.join(ticket: ticket)]
    }

    /// The watch is over.
    private mutating func forget() -> [SocketIOAction] {
        guard let old = watch else { return [] }
        watch = nil
        let dismissal = SocketIOAction.dismiss(old.environment.path)
        if case .live(let group) = old.place { return [.leave(group), dismissal] }
        return [dismissal]
    }

    package mutating func refused(_ ticket: UInt32, _ refusal: AttachRefusal) -> [SocketIOAction] {
        guard !isClosing, ticket > 0 else { return [] }
        if let wanted = registration, wanted.ticket == ticket {
            return registrationFailed(refusal.message(wanted.environment.description))
        }
        guard let old = watch, old.ticket == ticket else { return [] }
        guard refusal == .unavailable else {
            return end(refusal.closeCode, refusal.message(old.environment.text))
        }
        // An open watch stays: it asks again at the next beat.
        watch?.ticket = 0
        if case .returning(let cursor) = old.place { watch?.place = .behind(cursor) }
        return []
    }

    /// The token's grants don't reach that far. Whoever watched until now may know that the environment is still there.
    package mutating func notGranted(_ ticket: UInt32, _ refusal: AttachRefusal) -> [SocketIOAction] {
        refused(ticket, watch?.ticket == ticket ? .forbidden : refusal)
    }

    // MARK: The group and the socket

    /// The outlet has left the group already.
    package mutating func fellBehind(_ group: GroupID, sent cursor: Cursor) {
        if watch?.place == .live(group) { watch?.place = .behind(cursor) }
    }

    package mutating func groupEnded(_ group: GroupID, _ reason: GroupEnd) -> [SocketIOAction] {
        guard !isClosing, let old = watch, old.place == .live(group) else { return [] }
        // The outlet has left the group already.
        watch = nil
        let dismissal = SocketIOAction.dismiss(old.environment.path)
        switch reason {
        case .deleted: return [dismissal] + end(.noEnvironment, "the environment was deleted")
        case .unreadable: return [dismissal] + close(.tryAgainLater, AttachRefusal.unavailable.message(old.environment.text))
        }
    }

    /// Nothing waits on the socket: a watch that is behind may go on.
    package mutating func drained() -> [SocketIOAction] {
        guard !isClosing, let old = watch, old.ticket == 0 else { return [] }
        if old.isStale { return attachAgain(since: nil) }
        switch old.place {
        case .behind(let cursor):
            watch?.place = .returning(cursor)
            return attachAgain(since: cursor)
        case .live, .returning:
            return []
        }
    }

    /// The watch waits to go on and has no attach under way.
    package var wantsToReturn: Bool {
        guard !isClosing, let watch, watch.ticket == 0 else { return false }
        if case .behind = watch.place { return true }
        return watch.isStale
    }

    // MARK: Time

    /// Called now and then while the socket takes bytes.
    package mutating func beat(at now: UInt32) -> [SocketIOAction] {
        guard !isClosing else { return [] }
        guard isAwaitingPong else {
            guard now >= pingedAt &+ timing.pingInterval else { return [] }
            pingedAt = now
            isAwaitingPong = true
            return [packet { SocketIOFrame.append(.ping, to: &$0) }]
        }
        return now >= pingedAt &+ timing.pingTimeout ? close(.goingAway, "ping timeout") : []
    }

    /// Bytes wait, and with them perhaps the ping: the time for its answer begins when they have gone.
    package mutating func stalled(at now: UInt32) {
        if isAwaitingPong { pingedAt = now }
    }

    // MARK: Closing

    /// Tells the client not to come back: without the packet it would connect again, as after any lost connection.
    private mutating func end(_ code: WebSocketCloseCode, _ reason: String) -> [SocketIOAction] {
        guard !isClosing else { return [] }
        let farewell =
            isInNotifier ? [packet { SocketIOFrame.append(.disconnect, namespace: SocketIOMessage.namespace, to: &$0) }] : []
        return farewell + close(code, reason)
    }

    package mutating func close(_ code: WebSocketCloseCode, _ reason: String) -> [SocketIOAction] {
        guard !isClosing else { return [] }
        isClosing = true
        registration = nil
        return forget() + [.close(code, reason: reason)]
    }
}
