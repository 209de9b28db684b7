// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Gateway
import Store
import Testing
import Wire

/// How a session counts its watches: each is enrolled and dismissed exactly once, whatever happens to it.
@Suite struct WatchStandingTests {
    private var session = WatchSessionStateMachine(isAuthenticated: true)
    private let production: EnvironmentPath
    private let environment: WatchedEnvironment

    init() throws {
        production = try EnvironmentPath(parsing: "acme/web/production")
        environment = WatchedEnvironment(path: production, id: "5b1f0c1e-6d0e-4f5c-9a57-3c1f2d7e8a90")
    }

    private func words(_ actions: [SessionAction]) -> [String] {
        actions.compactMap { action in
            switch action {
            case .enroll(_, _, let old, let new, let isNew): "\(old)>\(new)\(isNew ? " new" : "")"
            case .acknowledge(_, let word): "ack \(word.revision)\(word.failure.map { " failed \($0)" } ?? "")"
            case .dismiss(_, let old): "\(old)>"
            case .leave: "leave"
            case .send, .authenticate, .attach, .join, .close: nil
            }
        }
    }

    private mutating func subscribe(acks: Bool) {
        _ = session.received(.subscribe(SubscribeRequest(environment: production, acks: acks)), at: 1)
    }

    private mutating func start(_ ticket: UInt32, _ group: GroupID) -> [String] {
        words(session.started(ticket, group: group, environment: environment) ?? [])
    }

    private mutating func ack(_ revision: Int64, _ status: ClientMessage.AckStatus = .applied, _ message: String? = nil) -> [String] {
        words(session.received(.ack(environment: production.description, revision: revision, status: status, message: message), at: 1))
    }

    private mutating func unsubscribe() -> [String] {
        words(session.received(.unsubscribe(id: nil, environment: production.description), at: 1))
    }

    @Test(arguments: [true, false])
    mutating func countsWhoWasLetIn(acks: Bool) {
        let standing = acks ? "acknowledging" : "silent"
        subscribe(acks: acks)
        #expect(start(1, 9) == ["uncounted>\(standing) new"])
        #expect(unsubscribe() == ["leave", "\(standing)>"])
        #expect(words(session.close(.normal, "")).isEmpty)
    }

    @Test mutating func whoWasNotLetInIsNotCounted() {
        subscribe(acks: true)
        #expect(unsubscribe().isEmpty)
        subscribe(acks: true)
        #expect(words(session.refused(2, .notFound)).isEmpty)
        subscribe(acks: true)
        #expect(words(session.close(.normal, "")).isEmpty)
    }

    @Test mutating func onlyOfferedAcknowledgementsCount() {
        subscribe(acks: false)
        #expect(ack(1).isEmpty)
        _ = start(1, 9)
        #expect(ack(1).isEmpty)
        subscribe(acks: true)
        // Until the feed has answered it is the watch it was.
        #expect(ack(1).isEmpty)
        #expect(start(2, 9) == ["leave", "silent>acknowledging new"])
        #expect(ack(1) == ["ack 1"])
        #expect(ack(2, .failed, "no") == ["ack 2 failed no"])
        #expect(ack(3, .failed) == ["ack 3 failed "])
        subscribe(acks: false)
        #expect(start(3, 10) == ["leave", "acknowledging>silent new"])
    }

    @Test mutating func aRefusedChangeChangesNothing() {
        subscribe(acks: true)
        _ = start(1, 9)
        subscribe(acks: false)
        #expect(words(session.refused(2, .unavailable)).isEmpty)
        #expect(ack(1) == ["ack 1"])
        #expect(unsubscribe() == ["leave", "acknowledging>"])
    }

    @Test mutating func whoFallsBehindStaysCounted() {
        subscribe(acks: true)
        _ = start(1, 9)
        session.fellBehind(9, sent: Cursor(revision: 5, mark: 7))
        #expect(ack(5) == ["ack 5"])
        _ = session.drained()
        #expect(start(2, 10) == ["acknowledging>acknowledging"])
        session.fellBehind(10, sent: Cursor(revision: 6, mark: 7))
        #expect(words(session.close(.normal, "")) == ["acknowledging>"])
    }

    @Test mutating func everyEndDismisses() {
        subscribe(acks: true)
        _ = start(1, 9)
        // The outlet has left the group; the environment was the only one.
        #expect(words(session.groupEnded(9, .deleted)) == ["acknowledging>"])
        session = WatchSessionStateMachine(isAuthenticated: true)
        subscribe(acks: true)
        _ = words(session.pageCame(1, [], upTo: Cursor(revision: 5, mark: 7), environment: environment))
        _ = session.drained()
        #expect(words(session.refused(2, .notFound)) == ["acknowledging>"])
        session = WatchSessionStateMachine(isAuthenticated: true)
        subscribe(acks: false)
        _ = start(1, 9)
        #expect(words(session.tokenEnded(.revoked)) == ["leave", "silent>"])
        session = WatchSessionStateMachine(isAuthenticated: true)
        subscribe(acks: true)
        _ = start(1, 9)
        _ = session.grantsChanged()
        #expect(words(session.notGranted(2, .notFound)) == ["leave", "acknowledging>"])
    }
}
