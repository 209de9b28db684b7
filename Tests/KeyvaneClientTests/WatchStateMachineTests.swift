// Keyvane
// SPDX-License-Identifier: Apache-2.0

import KeyvaneClient
import Testing

@Suite("The watch's decisions")
struct WatchStateMachineTests {
    private typealias Machine = WatchStateMachine
    private static let environment = GoldenMessages.environment
    private static let ready = ServerMessage.ready(
        ServerMessage.Ready(connection: WatchConnection(connection: "c", gateway: "g"), heartbeat: .seconds(20))
    )

    private static func machine(
        since: WatchCursor? = nil,
        acknowledges: Bool = false,
        _ change: (inout WatchSettings) -> Void = { _ in }
    ) -> Machine {
        var settings = WatchSettings()
        change(&settings)
        return Machine(WatchSubscription(environment: environment, since: since, acknowledges: acknowledges), settings: settings)
    }

    /// A machine that has taken a snapshot of revision 57.
    private static func live(acknowledges: Bool = false, _ change: (inout WatchSettings) -> Void = { _ in }) -> Machine {
        var machine = machine(acknowledges: acknowledges, change)
        #expect(machine.started() == .connect)
        let subscription = WatchSubscription(environment: environment, acknowledges: acknowledges)
        #expect(machine.connected(at: .zero) == .send(.subscribe(id: 1, subscription)))
        #expect(machine.received(.subscribed(id: 1, environment: environment), jitter: 0) == .none)
        let snapshot = GoldenMessages.snapshot(57, ["A": "1"])
        #expect(machine.received(.snapshot(snapshot), jitter: 0) == .deliver(.snapshot(snapshot), andSend: nil))
        return machine
    }

    private static func subscribe(_ id: Int, since: WatchCursor?) -> Machine.Action {
        .send(.subscribe(id: id, WatchSubscription(environment: environment, since: since)))
    }

    private static func changes(_ previous: Int, _ revision: Int) -> ServerMessage {
        .changes(GoldenMessages.changes(previous, revision, [("A", "\(revision)")]))
    }

    private static func delay(_ action: Machine.Action) -> Duration? {
        if case .reconnect(let interruption) = action { interruption.retryAfter } else { nil }
    }

    private static func code(_ action: Machine.Action) -> String? {
        if case .finish(let error) = action { error.code } else { nil }
    }

    @Test("frames in order are delivered, and a lost connection resumes after the last one")
    func resume() {
        var machine = Self.live()
        let frame = GoldenMessages.changes(57, 58, [("A", "2")])
        #expect(machine.received(.changes(frame), jitter: 0) == .deliver(.changes(frame), andSend: nil))
        #expect(Self.delay(machine.closed(code: nil, reason: "", at: .seconds(1), jitter: 0.5)) == .milliseconds(125))
        #expect(machine.delayElapsed() == .connect)
        #expect(machine.connected(at: .seconds(2)) == Self.subscribe(2, since: GoldenMessages.cursor(58)))
        #expect(machine.received(.subscribed(id: 2, environment: Self.environment), jitter: 0) == .none)
        let empty = GoldenMessages.changes(58, 58, [])
        #expect(machine.received(.changes(empty), jitter: 0) == .deliver(.changes(empty), andSend: nil))
    }

    @Test("a heartbeat moves the place to resume from, but not what the next frame must follow")
    func heartbeat() {
        var machine = Self.live()
        #expect(machine.received(.heartbeat(heads: [Self.environment: GoldenMessages.cursor(60, "h")]), jitter: 0) == .none)
        #expect(machine.cursor == GoldenMessages.cursor(60, "h"))
        let frame = GoldenMessages.changes(57, 61, [("A", "2")])
        #expect(machine.received(.changes(frame), jitter: 0) == .deliver(.changes(frame), andSend: nil))
        // Another environment's head, and one that is behind, say nothing.
        _ = machine.received(.heartbeat(heads: ["x/y/z": GoldenMessages.cursor(99)]), jitter: 0)
        _ = machine.received(.heartbeat(heads: [Self.environment: GoldenMessages.cursor(60)]), jitter: 0)
        #expect(machine.cursor == GoldenMessages.cursor(61))
        _ = machine.received(.heartbeat(heads: [Self.environment: GoldenMessages.cursor(70)]), jitter: 0)
        _ = machine.closed(code: 1_012, reason: "", at: .seconds(1), jitter: 0)
        _ = machine.delayElapsed()
        #expect(machine.connected(at: .seconds(2)) == Self.subscribe(2, since: GoldenMessages.cursor(70)))
        _ = machine.received(.subscribed(id: 2, environment: Self.environment), jitter: 0)
        let resumed = GoldenMessages.changes(70, 71, [("A", "3")])
        #expect(machine.received(.changes(resumed), jitter: 0) == .deliver(.changes(resumed), andSend: nil))
    }

    @Test("a gap leads to a snapshot on the same connection; what was on its way is ignored")
    func gap() {
        var machine = Self.live()
        #expect(machine.received(Self.changes(58, 59), jitter: 0) == Self.subscribe(2, since: nil))
        #expect(machine.cursor == nil)
        #expect(machine.received(Self.changes(59, 60), jitter: 0) == .none)
        #expect(machine.received(.snapshot(GoldenMessages.snapshot(60, [:])), jitter: 0) == .none)
        #expect(machine.received(.heartbeat(heads: [Self.environment: GoldenMessages.cursor(60)]), jitter: 0) == .none)
        #expect(machine.received(.subscribed(id: 1, environment: Self.environment), jitter: 0) == .none)
        #expect(machine.received(Self.changes(60, 61), jitter: 0) == .none)
        #expect(machine.cursor == nil)
        #expect(machine.received(.subscribed(id: 2, environment: Self.environment), jitter: 0) == .none)
        let snapshot = GoldenMessages.snapshot(61, ["A": "9"])
        #expect(machine.received(.snapshot(snapshot), jitter: 0) == .deliver(.snapshot(snapshot), andSend: nil))
    }

    @Test(
        "a gap at the resume, a frame that goes back, and one that was seen already are all gaps",
        arguments: [(58, 60), (57, 56), (56, 57)]
    )
    func gaps(previous: Int, revision: Int) {
        var machine = Self.machine(since: GoldenMessages.cursor(57))
        _ = machine.started()
        _ = machine.connected(at: .zero)
        _ = machine.received(.subscribed(id: 1, environment: Self.environment), jitter: 0)
        #expect(machine.received(Self.changes(previous, revision), jitter: 0) == Self.subscribe(2, since: nil))
    }

    @Test("changes where a snapshot was asked for don't go round in circles")
    func changesWithoutState() {
        var machine = Self.machine()
        _ = machine.started()
        _ = machine.connected(at: .zero)
        _ = machine.received(.subscribed(id: 1, environment: Self.environment), jitter: 0)
        #expect(Self.delay(machine.received(Self.changes(0, 1), jitter: 0.5)) == .milliseconds(125))
    }

    @Test("frames of another environment are none of its business")
    func otherEnvironment() {
        var machine = Self.live()
        let other = WatchChanges(
            environment: "x/y/z",
            environmentId: "i",
            previousRevision: 1,
            revision: 2,
            cursor: WatchCursor(revision: 2),
            changes: []
        )
        #expect(machine.received(.changes(other), jitter: 0) == .none)
        #expect(machine.received(.unsubscribed(environment: "x/y/z"), jitter: 0) == .none)
        #expect(machine.received(.unknown(type: "weather"), jitter: 0) == .none)
    }

    @Test("a snapshot out of the blue, of a restored database say, is taken even when it goes back")
    func restored() {
        var machine = Self.live()
        let older = GoldenMessages.snapshot(3, mark: "other", ["A": "0"])
        #expect(machine.received(.snapshot(older), jitter: 0) == .deliver(.snapshot(older), andSend: nil))
        let next = GoldenMessages.changes(3, 4, mark: "other", [("A", "1")])
        #expect(machine.received(.changes(next), jitter: 0) == .deliver(.changes(next), andSend: nil))
    }

    @Test("the delay doubles up to its limit, and starts anew after a connection that lasted")
    func backoff() {
        var machine = Self.live()
        var delays: [Duration?] = [Self.delay(machine.closed(code: nil, reason: "", at: .seconds(1), jitter: 0.5))]
        for _ in 0..<7 {
            _ = machine.delayElapsed()
            delays.append(Self.delay(machine.connectFailed(ClientError(code: "unreachable", message: ""), jitter: 0.5)))
        }
        #expect(delays == [125, 250, 500, 1_000, 2_000, 4_000, 5_000, 5_000].map { .milliseconds($0) })
        _ = machine.delayElapsed()
        _ = machine.connected(at: .seconds(100))
        // It opened and fell at once: no reason to hurry.
        #expect(Self.delay(machine.closed(code: 1_006, reason: "", at: .seconds(101), jitter: 0.5)) == .seconds(5))
        _ = machine.delayElapsed()
        _ = machine.connected(at: .seconds(200))
        #expect(Self.delay(machine.closed(code: nil, reason: "", at: .seconds(205), jitter: 0.5)) == .milliseconds(125))
    }

    @Test("the server's own delay counts for the close that it announced")
    func announced() throws {
        var machine = Self.live()
        #expect(machine.received(try GoldenMessages.message("closing"), jitter: 0) == .none)
        #expect(Self.delay(machine.closed(code: 1_012, reason: "", at: .seconds(1), jitter: 0.9)) == .milliseconds(750))
        _ = machine.delayElapsed()
        _ = machine.connected(at: .seconds(2))
        #expect(Self.delay(machine.closed(code: 1_012, reason: "", at: .seconds(3), jitter: 0)) == .zero)
    }

    @Test(
        "close codes from 4400 on end the watch, with a name for each",
        arguments: [
            (4_400, "bad_message"), (4_401, "unauthenticated"), (4_403, "forbidden"), (4_404, "environment_not_found"),
            (4_408, "authentication_timeout"), (4_999, "closed_4999"),
        ]
    )
    func final(code: Int, name: String) {
        var machine = Self.live()
        let action = machine.closed(code: code, reason: "why", at: .seconds(1), jitter: 0)
        #expect(action == .finish(ClientError(code: name, message: "why", closeCode: code)))
        #expect(machine.closed(code: nil, reason: "", at: .seconds(1), jitter: 0) == .none)
    }

    @Test("close codes below 4400 invite to come back", arguments: [1_000, 1_001, 1_002, 1_007, 1_009, 1_012, 1_013, 3_000, 4_399])
    func inviting(code: Int) {
        var machine = Self.live()
        #expect(Self.delay(machine.closed(code: code, reason: "", at: .seconds(1), jitter: 0.5)) == .milliseconds(125))
    }

    @Test("4429 and 429 ask for a pause")
    func tooFast() {
        var machine = Self.live()
        #expect(Self.delay(machine.closed(code: 4_429, reason: "", at: .seconds(1), jitter: 0)) == .seconds(15))
        _ = machine.delayElapsed()
        #expect(Self.delay(machine.connectFailed(ClientError(code: "x", message: "", status: 429), jitter: 0.5)) == .seconds(22.5))
        _ = machine.delayElapsed()
        let dated = ClientError(code: "x", message: "", status: 429, retryAfter: .seconds(3))
        #expect(Self.delay(machine.connectFailed(dated, jitter: 0.5)) == .seconds(3))
    }

    @Test(
        "a refused upgrade is tried again where the server has trouble, and ends where the caller has",
        arguments: [
            (401, false), (403, false), (404, false), (400, false), (301, false), (200, false), (408, true), (500, true), (503, true),
        ]
    )
    func refusedUpgrade(status: Int, isTemporary: Bool) {
        var machine = Self.machine()
        _ = machine.started()
        let error = ClientError(code: "c", message: "", status: status, retryAfter: isTemporary ? .seconds(2) : nil)
        let action = machine.connectFailed(error, jitter: 0.5)
        if isTemporary {
            #expect(action == .reconnect(WatchInterruption(error: error, retryAfter: .milliseconds(2_125))))
        } else {
            #expect(action == .finish(error))
        }
    }

    @Test("a refused subscription ends the watch unless the gateway has trouble itself")
    func refusedSubscription() throws {
        var machine = Self.machine()
        _ = machine.started()
        _ = machine.connected(at: .zero)
        var temporary = machine
        #expect(Self.code(machine.received(try GoldenMessages.message("error"), jitter: 0)) == "environment_not_found")
        let unavailable = ServerMessage.Refusal(code: "unavailable", message: nil, id: 1, environment: nil)
        #expect(Self.delay(temporary.received(.error(unavailable), jitter: 0.5)) == .milliseconds(125))
        var live = Self.live()
        #expect(live.received(.error(unavailable), jitter: 0) == .none)
    }

    @Test("a deleted environment ends the watch")
    func deleted() {
        var machine = Self.live()
        let other = ServerMessage.Closing(reason: "deleted", reconnectAfterMs: nil, environment: "x/y/z")
        #expect(machine.received(.closing(other), jitter: 0) == .none)
        let closing = ServerMessage.Closing(reason: "deleted", reconnectAfterMs: nil, environment: nil)
        #expect(Self.code(machine.received(.closing(closing), jitter: 0)) == "environment_not_found")
    }

    @Test("a changed grant makes it ask again")
    func unsubscribed() {
        var machine = Self.live()
        let message = ServerMessage.unsubscribed(environment: Self.environment)
        #expect(machine.received(message, jitter: 0) == Self.subscribe(2, since: GoldenMessages.cursor(57)))
    }

    @Test("silence is counted from the last byte, and stretched for slow heartbeats")
    func silence() {
        var machine = Self.live { $0.silenceTimeout = .seconds(10) }
        #expect(machine.silenceChecked(at: .seconds(4), jitter: 0) == .checkSilence(after: .seconds(6)))
        machine.heard(at: .seconds(8))
        #expect(machine.silenceChecked(at: .seconds(10), jitter: 0) == .checkSilence(after: .seconds(8)))
        #expect(
            machine.received(Self.ready, jitter: 0) == .deliver(.connected(WatchConnection(connection: "c", gateway: "g")), andSend: nil)
        )
        #expect(machine.silenceChecked(at: .seconds(18), jitter: 0) == .checkSilence(after: .seconds(35)))
        #expect(Self.delay(machine.silenceChecked(at: .seconds(53), jitter: 0.5)) == .milliseconds(125))
        #expect(machine.silenceChecked(at: .seconds(99), jitter: 0) == .none)
        #expect(machine.received(Self.changes(57, 58), jitter: 0) == .none)
    }

    @Test("a message that can't be read makes it start over; one that is too large ends it")
    func unreadable() {
        var machine = Self.live()
        #expect(Self.delay(machine.unreadable(ClientError(code: "invalid_answer", message: ""), jitter: 0.5)) == .milliseconds(125))
        #expect(machine.unreadable(ClientError(code: "invalid_answer", message: ""), jitter: 0) == .none)
        _ = machine.delayElapsed()
        #expect(machine.connected(at: .seconds(1)) == Self.subscribe(2, since: nil))
        #expect(Self.code(machine.unreadable(ClientError(code: "message_too_large", message: ""), jitter: 0)) == "message_too_large")
    }

    @Test("events that were dropped are made up for by a snapshot, now or at the next connection")
    func overflowed() {
        var machine = Self.live()
        #expect(machine.overflowed() == Self.subscribe(2, since: nil))
        machine = Self.live()
        _ = machine.closed(code: nil, reason: "", at: .seconds(1), jitter: 0)
        #expect(machine.overflowed() == .none)
        _ = machine.delayElapsed()
        #expect(machine.connected(at: .seconds(2)) == Self.subscribe(2, since: nil))
    }

    @Test("the last acknowledgement is said again to a new connection")
    func acknowledgement() {
        var silent = Self.live()
        #expect(silent.acknowledged(revision: 57, status: .applied) == .none)
        var machine = Self.live(acknowledges: true)
        let applied = ClientMessage.acknowledge(
            ClientMessage.Acknowledgement(environment: Self.environment, revision: 57, status: .applied)
        )
        #expect(machine.acknowledged(revision: 57, status: .applied) == .send(applied))
        _ = machine.closed(code: nil, reason: "", at: .seconds(1), jitter: 0)
        #expect(machine.acknowledged(revision: 57, status: .applied) == .none)
        _ = machine.delayElapsed()
        _ = machine.connected(at: .seconds(2))
        #expect(machine.acknowledged(revision: 57, status: .applied) == .none)
        _ = machine.received(.subscribed(id: 2, environment: Self.environment), jitter: 0)
        let empty = GoldenMessages.changes(57, 57, [])
        #expect(machine.received(.changes(empty), jitter: 0) == .deliver(.changes(empty), andSend: applied))
        let next = GoldenMessages.changes(57, 58, [("A", "2")])
        #expect(machine.received(.changes(next), jitter: 0) == .deliver(.changes(next), andSend: nil))
    }

    @Test("after it was stopped nothing makes it act")
    func stopped() {
        var machine = Self.live()
        machine.stopped()
        #expect(machine.started() == .none)
        #expect(machine.connected(at: .zero) == .none)
        #expect(machine.connectFailed(ClientError(code: "c", message: ""), jitter: 0) == .none)
        #expect(machine.closed(code: 4_401, reason: "", at: .zero, jitter: 0) == .none)
        #expect(machine.delayElapsed() == .none)
        #expect(machine.received(Self.changes(57, 58), jitter: 0) == .none)
        #expect(machine.overflowed() == .none)
    }
}
