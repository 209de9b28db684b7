// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Gateway
import Store
import Testing
import Wire

@Suite struct WatchSessionTests {
    private var session = WatchSessionStateMachine(isAuthenticated: true)
    private let production: EnvironmentPath
    private let environment: WatchedEnvironment

    init() throws {
        production = try EnvironmentPath(parsing: "acme/web/production")
        environment = WatchedEnvironment(path: production, id: "5b1f0c1e-6d0e-4f5c-9a57-3c1f2d7e8a90")
    }

    private func cursor(_ revision: Int64) -> Cursor { Cursor(revision: revision, mark: 7) }

    /// What an action list says, in short; how watches are counted is `WatchStandingTests`' matter.
    private func words(_ actions: [SessionAction]) -> [String] {
        actions.compactMap { action in
            switch action {
            case .send(let bytes):
                let type = textMessages(bytes).compactMap {
                    (try? JSONSerialization.jsonObject(with: Data($0)) as? [String: Any])?["type"] as? String
                }
                return type.joined(separator: "+")
            case .authenticate: return "authenticate"
            case .attach(let ticket, let request, let isConflated):
                return "attach \(ticket) \(request.since.map { "\($0.revision)" } ?? "-")\(isConflated ? " conflated" : "")"
            case .join(let ticket): return "join \(ticket)"
            case .leave(let group): return "leave \(group)"
            case .enroll, .acknowledge, .dismiss: return nil
            case .close(let code, _): return "close \(code.rawValue)"
            }
        }
    }

    private mutating func subscribe(since: Int64? = nil, id: Int64 = 1) -> [String] {
        let point = since.map { ResumePoint(revision: $0) }
        return words(session.received(.subscribe(SubscribeRequest(id: .number(id), environment: production, since: point)), at: 1))
    }

    private mutating func start(_ ticket: UInt32, _ group: GroupID) -> [String]? {
        session.started(ticket, group: group, environment: environment).map(words)
    }

    @Test mutating func subscribesAndStarts() {
        #expect(subscribe(since: 57) == ["attach 1 57"])
        #expect(start(1, 9) == ["subscribed", "join 1"])
        #expect(session.watches.map(\.place) == [.live(9)])
        #expect(words(session.received(.unsubscribe(id: nil, environment: "acme/web/production"), at: 1)) == ["leave 9", "unsubscribed"])
        #expect(session.watches.isEmpty)
    }

    @Test mutating func anAnswerTooLateGivesTheSeatBack() {
        _ = subscribe()
        _ = session.received(.unsubscribe(id: nil, environment: "acme/web/production"), at: 1)
        #expect(start(1, 9) == nil)
        _ = subscribe()
        _ = subscribe()
        #expect(start(2, 9) == nil)
        #expect(start(3, 9) == ["subscribed", "join 3"])
    }

    @Test mutating func subscribingAgainReplacesTheFilter() {
        _ = subscribe()
        _ = start(1, 9)
        #expect(subscribe(id: 2) == ["attach 2 -"])
        #expect(session.watches.map(\.place) == [.live(9)])
        #expect(start(2, 10) == ["leave 9", "subscribed", "join 2"])
    }

    @Test mutating func aRefusedChangeLeavesTheWatch() {
        _ = subscribe()
        _ = start(1, 9)
        _ = subscribe(id: 2)
        #expect(words(session.refused(2, .unavailable)) == ["error"])
        #expect(session.watches.map(\.place) == [.live(9)])
    }

    /// Regression: the watch kept the refused filter, and asked with it when it fell behind.
    @Test mutating func aRefusedFilterIsForgotten() {
        _ = subscribe()
        _ = start(1, 9)
        let narrow = SubscribeRequest(environment: production, names: NameSet([NameGlob("A")].compactMap { $0 }), acks: true)
        _ = session.received(.subscribe(narrow), at: 1)
        _ = session.refused(2, .unavailable)
        session.fellBehind(9, sent: cursor(5))
        guard case .attach(3, let request, isConflated: true)? = session.drained().first else {
            Issue.record("nothing was asked")
            return
        }
        #expect(request.names == .everything)
    }

    /// Regression: a watch that was behind ended when a new filter was refused.
    @Test mutating func aRefusedFilterLeavesAWatchThatIsBehind() {
        _ = subscribe()
        _ = start(1, 9)
        session.fellBehind(9, sent: cursor(5))
        #expect(subscribe(id: 2) == ["attach 2 -"])
        #expect(words(session.refused(2, .unavailable)) == ["error"])
        #expect(words(session.drained()) == ["attach 3 5 conflated"])
        #expect(subscribe(id: 3) == ["attach 4 -"])
        #expect(words(session.refused(4, .unavailable)) == ["error"])
        #expect(words(session.drained()) == ["attach 5 5 conflated"])
        #expect(start(5, 10) == ["join 5"])
    }

    @Test func aStreamCannotAskAgain() throws {
        var stream = WatchSessionStateMachine(isAuthenticated: true, format: .events)
        _ = stream.subscribe(SubscribeRequest(environment: production))
        guard case .close(let code, _)? = stream.refused(1, .unavailable).last else {
            Issue.record("the stream stays without a watch")
            return
        }
        #expect(code.rawValue == 1013)
    }

    /// Regression: where the changed grants could not be looked at, the watch stayed as it was.
    @Test mutating func changedGrantsAreAskedAboutUntilTheyAreKnown() {
        _ = subscribe()
        _ = start(1, 9)
        #expect(words(session.grantsChanged()) == ["attach 2 -"])
        #expect(!session.wantsToReturn)
        #expect(words(session.refused(2, .unavailable)).isEmpty)
        #expect(session.wantsToReturn)
        #expect(words(session.drained()) == ["attach 3 -"])
        #expect(start(3, 10) == ["leave 9", "join 3"])
        #expect(!session.wantsToReturn)
    }

    @Test mutating func aRefusedSubscriptionKeepsTheConnection() {
        _ = subscribe()
        #expect(words(session.refused(1, .notFound)) == ["error"])
        #expect(session.watches.isEmpty)
        #expect(session.phase == .open)
    }

    @Test mutating func whoFellBehindComesBackConflated() {
        _ = subscribe()
        _ = start(1, 9)
        session.fellBehind(9, sent: cursor(5))
        #expect(session.wantsToReturn)
        #expect(words(session.drained()) == ["attach 2 5 conflated"])
        #expect(!session.wantsToReturn)
        // PostgreSQL is away: the watch stays, and asks again.
        #expect(words(session.refused(2, .unavailable)).isEmpty)
        #expect(words(session.drained()) == ["attach 3 5 conflated"])
        #expect(start(3, 11) == ["join 3"])
    }

    @Test mutating func aLongWayBackGoesPageByPage() {
        #expect(subscribe(since: 1) == ["attach 1 1"])
        #expect(words(session.pageCame(1, [], upTo: cursor(250), environment: environment)) == ["subscribed", ""])
        #expect(words(session.drained()) == ["attach 2 250"])
        #expect(words(session.pageCame(2, [], upTo: cursor(500), environment: environment)) == [""])
        #expect(words(session.drained()) == ["attach 3 500"])
        #expect(start(3, 9) == ["join 3"])
        #expect(words(session.drained()).isEmpty)
    }

    @Test mutating func theLastEnvironmentsEndClosesTheConnection() throws {
        _ = subscribe()
        _ = start(1, 9)
        let staging = try EnvironmentPath(parsing: "acme/web/staging")
        _ = session.received(.subscribe(SubscribeRequest(environment: staging)), at: 1)
        _ = session.started(2, group: 10, environment: environment)
        #expect(words(session.groupEnded(9, .deleted)) == ["closing"])
        #expect(words(session.groupEnded(10, .deleted)) == ["closing", "close 4404"])
        #expect(session.isClosing)
    }

    @Test mutating func unreadableSecretsSendWatchersAway() {
        _ = subscribe()
        _ = start(1, 9)
        #expect(words(session.groupEnded(9, .unreadable)) == ["error", "close 1013"])
    }

    @Test mutating func theTokenComesFirst() {
        session = WatchSessionStateMachine(isAuthenticated: false)
        #expect(words(session.received(.authenticate(token: "t"), at: 1)) == ["authenticate"])
        // What follows at once waits for the answer.
        #expect(subscribe().isEmpty)
        #expect(words(session.authenticated()) == ["attach 1 -"])
        #expect(words(session.received(.authenticate(token: "t"), at: 1)) == ["error"])
    }

    @Test mutating func withoutATokenNothingGoes() {
        session = WatchSessionStateMachine(isAuthenticated: false)
        #expect(subscribe() == ["close 4401"])
        session = WatchSessionStateMachine(isAuthenticated: false)
        #expect(words(session.tokenOverdue()) == ["close 4408"])
        session = WatchSessionStateMachine(isAuthenticated: false)
        _ = session.received(.authenticate(token: "t"), at: 1)
        #expect(words(session.authenticationFailed(.notAuthenticated, "")) == ["close 4401"])
        session = WatchSessionStateMachine(isAuthenticated: false)
        _ = session.received(.authenticate(token: "t"), at: 1)
        #expect(words(session.authenticationFailed(.tryAgainLater, "")) == ["close 1013"])
    }

    @Test mutating func revocationAndExpiry() {
        _ = subscribe()
        _ = start(1, 9)
        #expect(words(session.tokenEnded(.revoked)) == ["closing", "leave 9", "close 4401"])
        #expect(words(session.tokenEnded(.expired)).isEmpty)
        #expect(session.tokenOverdue().isEmpty)
    }

    @Test mutating func changedGrantsAreAskedForAnew() {
        _ = subscribe()
        _ = start(1, 9)
        #expect(words(session.grantsChanged()) == ["attach 2 -"])
        #expect(start(2, 10) == ["leave 9", "join 2"])
        _ = session.grantsChanged()
        #expect(words(session.notGranted(3, .notFound)) == ["leave 10", "error", "close 4403"])
    }

    @Test mutating func limits() throws {
        for number in 0..<WatchLimits().environments {
            let path = try EnvironmentPath(parsing: "a/b/e\(number)")
            // Two seconds, so that the rate isn't met.
            let actions = session.received(.subscribe(SubscribeRequest(environment: path)), at: UInt32(number / 80))
            #expect(words(actions).first?.hasPrefix("attach") == true)
        }
        #expect(subscribe() == ["error"])
        session = WatchSessionStateMachine(isAuthenticated: true)
        for _ in 0..<100 { _ = session.received(.unsubscribe(id: nil, environment: "x"), at: 5) }
        #expect(words(session.received(.unsubscribe(id: nil, environment: "x"), at: 5)) == ["close 4429"])
        #expect(session.received(.unsubscribe(id: nil, environment: "x"), at: 6).isEmpty)
    }

    @Test mutating func acknowledgementsNeedAWatch() {
        #expect(words(session.received(.ack(environment: "acme/web/production", revision: 1, status: .applied), at: 1)) == ["error"])
        _ = subscribe()
        #expect(session.received(.ack(environment: "acme/web/production", revision: 1, status: .applied), at: 1).isEmpty)
    }

    @Test mutating func badMessagesEndTheConversation() {
        _ = subscribe()
        _ = start(1, 9)
        #expect(words(session.received(ClientMessage.Fault.bad("x"), at: 1)) == ["error", "leave 9", "close 4400"])
        #expect(subscribe().isEmpty)
        #expect(session.refused(1, .notFound).isEmpty)
        #expect(session.drained().isEmpty)
    }
}
