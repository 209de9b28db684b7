// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Gateway
import Store
import Testing
import Wire

@Suite struct SocketIOSessionTests {
    private var session = SocketIOSessionTests.session()
    private let production: EnvironmentPath
    private let staging: EnvironmentPath

    init() throws {
        production = try EnvironmentPath(parsing: "acme/web/production")
        staging = try EnvironmentPath(parsing: "acme/web/staging")
    }

    private static func session(hasToken: Bool = true) -> SocketIOSessionStateMachine {
        let timing = SocketIOSessionStateMachine.Timing(pingInterval: 25, pingTimeout: 20)
        return SocketIOSessionStateMachine(hasToken: hasToken, timing: timing, messageRate: 100, at: 100)
    }

    private func cursor(_ revision: Int64) -> Cursor { Cursor(revision: revision, mark: 7) }

    /// What an action list says, in short.
    private func words(_ actions: [SocketIOAction]) -> [String] {
        actions.map { action in
            switch action {
            case .send(let bytes): textMessages(bytes).map { String(decoding: $0, as: UTF8.self) }.joined(separator: "+")
            case .authenticate: "authenticate"
            case .attach(let ticket, let path, let since): "attach \(ticket) \(path.environment) \(since.map { "\($0.revision)" } ?? "-")"
            case .join(let ticket): "join \(ticket)"
            case .leave(let group): "leave \(group)"
            case .enroll(let path, _, let standing, let isNew): "enroll \(path.environment) \(standing)\(isNew ? " new" : "")"
            case .dismiss(let path): "dismiss \(path.environment)"
            case .expectRegistration: "expect"
            case .registered: "registered"
            case .close(let code, _): "close \(code.rawValue)"
            }
        }
    }

    private mutating func receive(_ message: SocketIOMessage, at now: UInt32 = 100) -> [String] {
        words(session.received(message, sid: "c-1", at: now))
    }

    private mutating func start(_ ticket: UInt32, _ group: GroupID, _ path: EnvironmentPath? = nil) -> [String]? {
        session.started(ticket, group: group, environment: WatchedEnvironment(path: path ?? production, id: "5b1f0c1e")).map(words)
    }

    /// Connected, registered and live in group 5.
    private mutating func live() {
        _ = receive(.connect(namespace: SocketIOMessage.namespace))
        _ = receive(.register(production, ackID: nil))
        _ = session.authenticated()
        _ = start(1, 5)
    }

    private static let success = #"{"success":true,"message":"Registration Successful"}"#
    private static func registered(_ json: String) -> String { #"42/change-notifier,["client-registered",\#(json)]"# }
    private static func failure(_ message: String) -> String { #"{"success":false,"message":"\#(message)"}"# }

    // MARK: Registration

    @Test mutating func fromTheConnectToTheChanges() {
        #expect(receive(.connect(namespace: "/change-notifier")) == [#"40/change-notifier,{"sid":"c-1/change-notifier"}"#])
        #expect(receive(.register(production, ackID: nil)) == ["authenticate"])
        #expect(words(session.authenticated()) == ["attach 1 production -"])
        #expect(start(1, 5) == ["enroll production uncounted new", "registered", Self.registered(Self.success), "join 1"])
        #expect(session.watch?.place == .live(5))
    }

    @Test mutating func anAcknowledgementComesBeforeTheEvent() {
        _ = receive(.connect(namespace: "/change-notifier"))
        _ = receive(.register(production, ackID: 9))
        _ = session.authenticated()
        #expect(start(1, 5)?[2...3] == ["43/change-notifier,9[\(Self.success)]", Self.registered(Self.success)])
    }

    @Test mutating func registeringAgainReplaces() {
        live()
        #expect(receive(.register(staging, ackID: nil)) == ["attach 2 staging -"])
        // The old one goes on until the feed has answered.
        #expect(session.watch?.place == .live(5))
        #expect(
            start(2, 6, staging) == [
                "leave 5", "dismiss production", "enroll staging uncounted new", "registered", Self.registered(Self.success), "join 2",
            ]
        )
        // The same again, too.
        #expect(receive(.register(staging, ackID: nil)) == ["attach 3 staging -"])
        #expect(start(3, 6, staging)?.prefix(2) == ["leave 6", "dismiss staging"])
    }

    @Test mutating func aRefusedOneLeavesTheOldOne() {
        live()
        _ = receive(.register(staging, ackID: 4))
        let reason = "There is no environment acme/web/staging that this token may know of."
        #expect(
            words(session.refused(2, .notFound)) == [
                "43/change-notifier,4[\(Self.failure(reason))]", Self.registered(Self.failure(reason)),
            ]
        )
        #expect(session.watch?.place == .live(5))
    }

    @Test mutating func theNewestOfTwoUnderWayCounts() {
        _ = receive(.connect(namespace: "/change-notifier"))
        #expect(receive(.register(production, ackID: 1)) == ["authenticate"])
        let replaced = "43/change-notifier,1[\(Self.failure("A newer registration replaced this one."))]"
        #expect(receive(.register(staging, ackID: nil)) == [replaced])
        #expect(words(session.authenticated()) == ["attach 1 staging -"])
        #expect(receive(.register(production, ackID: nil)) == ["attach 2 production -"])
        // The answer to the one before is too late: its seat is given back.
        #expect(start(1, 5, staging) == nil)
        #expect(start(2, 6)?.last == "join 2")
    }

    @Test mutating func withoutAToken() {
        session = Self.session(hasToken: false)
        _ = receive(.connect(namespace: "/change-notifier"))
        let reason = "There is no token: send it in the x-keyshade-token header."
        #expect(receive(.register(production, ackID: nil)) == [Self.registered(Self.failure(reason))])
        #expect(!session.isClosing)
    }

    @Test mutating func withAWrongTokenTheNextRegistrationAsksAgain() {
        _ = receive(.connect(namespace: "/change-notifier"))
        _ = receive(.register(production, ackID: nil))
        #expect(words(session.authenticationFailed("no")) == [Self.registered(Self.failure("no"))])
        #expect(receive(.register(production, ackID: nil)) == ["authenticate"])
        #expect(words(session.authenticated()) == ["attach 1 production -"])
    }

    @Test mutating func whatNamesNoEnvironmentIsAnswered() {
        _ = receive(.connect(namespace: "/change-notifier"))
        #expect(receive(.misregister(reason: "why", ackID: nil)) == [Self.registered(Self.failure("why"))])
    }

    // MARK: Namespaces

    @Test mutating func otherNamespaces() {
        #expect(receive(.connect(namespace: "/")) == [#"40{"sid":"c-1/"}"#])
        #expect(receive(.connect(namespace: "/other")) == [#"44/other,{"message":"Invalid namespace"}"#])
        #expect(receive(.other(namespace: "/")) == [])
        #expect(receive(.disconnect(namespace: "/")) == [] && receive(.disconnect(namespace: "/other")) == [])
        #expect(receive(.other(namespace: "/")) == ["close 4400"])
    }

    @Test(arguments: [SocketIOMessage.misregister(reason: "", ackID: 1), .other(namespace: "/change-notifier"), .other(namespace: "/x")])
    mutating func eventsBeforeTheConnect(message: SocketIOMessage) {
        #expect(receive(message) == ["close 4400"])
    }

    @Test mutating func leavingTheNamespaceEndsTheWatch() {
        live()
        #expect(receive(.disconnect(namespace: "/change-notifier")) == ["leave 5", "dismiss production", "expect"])
        #expect(receive(.disconnect(namespace: "/change-notifier")) == [])
        _ = receive(.connect(namespace: "/change-notifier"))
        #expect(receive(.register(production, ackID: nil)) == ["attach 2 production -"])
    }

    // MARK: The token's and the environment's end

    /// Without the disconnect packet the client would connect again, as after any lost connection.
    @Test mutating func endsThatAreForGood() {
        live()
        #expect(words(session.tokenEnded(.revoked)) == ["41/change-notifier,", "leave 5", "dismiss production", "close 4401"])
        #expect(session.tokenEnded(.expired).isEmpty)
    }

    @Test mutating func aDeletedEnvironment() {
        live()
        #expect(words(session.groupEnded(4, .deleted)) == [])
        #expect(words(session.groupEnded(5, .deleted)) == ["dismiss production", "41/change-notifier,", "close 4404"])
    }

    @Test mutating func anUnreadableOneInvitesBack() {
        live()
        #expect(words(session.groupEnded(5, .unreadable)) == ["dismiss production", "close 1013"])
    }

    @Test mutating func changedGrants() {
        #expect(session.grantsChanged().isEmpty)
        live()
        #expect(words(session.grantsChanged()) == ["attach 2 production -"])
        #expect(start(2, 6) == ["leave 5", "enroll production silent", "join 2"])
        // PostgreSQL is away: the watch stays, and asks at the next beat.
        _ = session.grantsChanged()
        #expect(session.refused(3, .unavailable).isEmpty && session.wantsToReturn)
        #expect(words(session.drained()) == ["attach 4 production -"])
        #expect(words(session.notGranted(4, .notFound)) == ["41/change-notifier,", "leave 6", "dismiss production", "close 4403"])
    }

    // MARK: A socket that is behind

    @Test mutating func itComesBackWithTheNewestValues() {
        live()
        session.fellBehind(5, sent: cursor(7))
        #expect(session.wantsToReturn)
        #expect(words(session.drained()) == ["attach 2 production 7"])
        #expect(!session.wantsToReturn && session.drained().isEmpty)
        #expect(session.refused(2, .unavailable).isEmpty)
        #expect(words(session.drained()) == ["attach 3 production 7"])
        #expect(start(3, 5) == ["enroll production silent", "join 3"])
    }

    // MARK: Time

    @Test mutating func pings() {
        #expect(words(session.beat(at: 124)) == [])
        #expect(words(session.beat(at: 125)) == ["2"])
        #expect(words(session.beat(at: 144)) == [])
        #expect(receive(.pong) == [])
        #expect(words(session.beat(at: 149)) == [])
        #expect(words(session.beat(at: 150)) == ["2"])
        #expect(words(session.beat(at: 170)) == ["close 1001"])
        #expect(session.isClosing && words(session.beat(at: 300)) == [])
    }

    @Test mutating func aPingThatWaitsIsNotOneThatIsUnanswered() {
        _ = session.beat(at: 125)
        session.stalled(at: 140)
        #expect(words(session.beat(at: 159)) == [])
        #expect(words(session.beat(at: 160)) == ["close 1001"])
    }

    @Test mutating func pingsOfTheClientAreAnswered() {
        #expect(receive(.ping([0x61])) == ["3a"])
        #expect(receive(.nothing) == [])
    }

    @Test mutating func theRegistrationHasADeadline() {
        _ = receive(.connect(namespace: "/change-notifier"))
        _ = receive(.register(production, ackID: nil))
        #expect(words(session.registrationOverdue()) == ["41/change-notifier,", "close 4408"])
        // The token's answer comes too late.
        #expect(session.authenticated().isEmpty)
        session = Self.session()
        live()
        #expect(session.registrationOverdue().isEmpty)
    }

    @Test mutating func tooManyMessages() {
        for _ in 0..<100 { #expect(receive(.pong) == []) }
        #expect(receive(.pong) == ["close 4429"])
        session = Self.session()
        for second: UInt32 in 100..<110 { for _ in 0..<100 { #expect(receive(.pong, at: second) == []) } }
    }

    // MARK: The end

    @Test mutating func theClientsClose() {
        live()
        #expect(receive(.close) == ["leave 5", "dismiss production", "close 1000"])
        #expect(receive(.connect(namespace: "/")) == [] && session.drained().isEmpty && start(2, 6) == nil)
        #expect(session.close(.abnormal, "").isEmpty)
    }

    @Test mutating func brokenPackets() {
        #expect(words(session.received(.badPayload)) == ["close 4400"])
        #expect(session.received(.badPayload).isEmpty)
    }
}
