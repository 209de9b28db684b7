// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Notifier
import Testing
import Wire

@Suite("The life of a connection to Redis")
struct RedisConnectionStateMachineTests {
    private static func machine(_ steps: [RedisGreeting.Step] = [.name, .ping]) -> RedisConnectionStateMachine {
        RedisConnectionStateMachine(steps: steps, greetingLimit: 2_000, silenceLimit: 300, answerLimit: 300)
    }

    /// Ready since `now`.
    private static func ready(at now: UInt64) -> RedisConnectionStateMachine {
        var machine = machine([.ping])
        _ = machine.started()
        _ = machine.connected(at: now)
        _ = machine.replied(.simple("OK"), at: now)
        return machine
    }

    @Test("is ready when every step of the greeting was answered")
    func greets() {
        var machine = Self.machine([.authenticate, .select, .name, .subscribe, .subscribe])
        guard case .connect = machine.started(), case .greet(checkAfter: 2_000) = machine.connected(at: 100) else {
            Issue.record("it begins with a greeting")
            return
        }
        for _ in 0..<4 {
            guard case .ignore = machine.replied(.simple("OK"), at: 110) else {
                Issue.record("ready too early")
                return
            }
            #expect(!machine.isReady)
        }
        guard case .opened(checkAfter: 300) = machine.replied(.simple("OK"), at: 120),
            case .deliver = machine.replied(.error("ERR no"), at: 130)
        else {
            Issue.record("replies after the greeting answer commands")
            return
        }
        #expect(machine.isReady)
    }

    @Test("ends with a refused step, but for the name", arguments: [RedisGreeting.Step.authenticate, .select, .name, .ping, .subscribe])
    func refused(step: RedisGreeting.Step) {
        var machine = Self.machine([step, .ping])
        _ = machine.started()
        _ = machine.connected(at: 0)
        switch machine.replied(.error("ERR unknown command 'AUTH', with args beginning with: 'hunter2'"), at: 1) {
        case .ignore: #expect(step == .name)
        case .fail(let error):
            #expect(step != .name)
            #expect(error.code == .refused)
            #expect(!error.message.contains("hunter2"))
        case .learn, .opened, .deliver: Issue.record("a refused greeting opened the connection")
        }
    }

    @Test("takes a named master for one only if it says so")
    func role() {
        func text(_ text: String) -> RESPValue { .bulk(Array(text.utf8)) }
        for (reply, isMaster) in [
            (RESPValue.array([text("master"), .integer(0), .array([])]), true), (.array([text("slave"), text("10.0.0.1")]), false),
            (.array([]), false), (.simple("master"), false), (.error("NOPERM no"), false),
        ] {
            var machine = Self.machine([.role, .ping])
            _ = machine.started()
            _ = machine.connected(at: 0)
            switch machine.replied(reply, at: 1) {
            case .ignore: #expect(isMaster)
            case .fail: #expect(!isMaster)
            case .learn, .opened, .deliver: Issue.record("a role is part of the greeting")
            }
        }
    }

    @Test("learns a cluster's nodes, or does without, and opens on any node")
    func cluster() {
        for reply in [RESPValue.array([]), .error("NOPERM no")] {
            var machine = Self.machine([.nodes, .owner, .ping])
            _ = machine.started()
            _ = machine.connected(at: 0)
            guard case .learn = machine.replied(reply, at: 1) else {
                Issue.record("a node that doesn't tell is a node all the same")
                return
            }
            guard case .ignore = machine.replied(.error("MOVED 1 a:1"), at: 2), case .opened = machine.replied(.simple("PONG"), at: 3)
            else {
                Issue.record("who owns our keys doesn't matter for this connection")
                return
            }
        }
    }

    @Test(
        "tells why it was refused",
        arguments: [
            ("NOAUTH Authentication required.", NotifierError.Code.accessDenied), ("WRONGPASS invalid", .accessDenied),
            ("NOPERM x", .accessDenied),
            ("LOADING Redis is loading", .away), ("MASTERDOWN x", .refused), ("READONLY x", .refused), ("CLUSTERDOWN x", .away),
            ("MOVED 1 a:1", .away), ("", .refused), ("wörter ohne Kopf", .refused),
        ]
    )
    func reasons(text: String, code: NotifierError.Code) {
        var machine = Self.machine([.ping])
        _ = machine.started()
        _ = machine.connected(at: 0)
        guard case .fail(let error) = machine.replied(.error(text), at: 1) else {
            Issue.record("not refused")
            return
        }
        #expect(error.code == code)
    }

    @Test("an unanswered greeting ends it, not earlier than its limit")
    func silentGreeting() {
        var machine = Self.machine()
        _ = machine.started()
        _ = machine.connected(at: 1_000)
        _ = machine.replied(.simple("OK"), at: 1_010)
        guard case .check(after: 500) = machine.checkDue(at: 2_500), case .fail(let error) = machine.checkDue(at: 3_000) else {
            Issue.record("the limit is two seconds")
            return
        }
        #expect(error.code == .away)
        guard case .ignore = machine.closed() else {
            Issue.record("it was over")
            return
        }
    }

    @Test("300 ms of silence cause a PING, and 300 ms more the end")
    func away() {
        var machine = Self.ready(at: 1_000)
        machine.heard(at: 1_100)
        guard case .check(after: 100) = machine.checkDue(at: 1_300), case .ping(checkAfter: 300) = machine.checkDue(at: 1_400),
            case .check(after: 1) = machine.checkDue(at: 1_699), case .fail(let error) = machine.checkDue(at: 1_700)
        else {
            Issue.record("wrong times")
            return
        }
        #expect(error.code == .away)
        #expect(!machine.isReady)
        // The same read brought more, and the timer was on its way.
        machine.heard(at: 1_701)
        guard case .ignore = machine.replied(.simple("OK"), at: 1_701), case .ignore = machine.checkDue(at: 1_702) else {
            Issue.record("it was over")
            return
        }
    }

    @Test("any byte answers a PING")
    func alive() {
        var machine = Self.ready(at: 0)
        guard case .ping = machine.checkDue(at: 300) else {
            Issue.record("no PING")
            return
        }
        machine.heard(at: 599)
        guard case .check(after: 299) = machine.checkDue(at: 600), case .ping = machine.checkDue(at: 899) else {
            Issue.record("the answer wasn't counted")
            return
        }
    }

    @Test("is closed once, whoever is first")
    func closes() {
        var machine = Self.ready(at: 0)
        guard case .close = machine.closed(), case .ignore = machine.closed(), case .ignore = machine.replied(.simple("OK"), at: 1) else {
            Issue.record("closed twice")
            return
        }
        var early = Self.machine()
        _ = early.started()
        guard case .close = early.closed() else {
            Issue.record("a connect can be given up")
            return
        }
    }

    @Test("waits longer after each failure, never under 50 ms or over 1 s, and from the beginning after a success")
    func backoff() {
        var backoff = ReconnectBackoff()
        let lower = (0..<6).map { _ in backoff.failed(random: 0) }
        #expect(lower == [50, 100, 200, 400, 500, 500].map { .milliseconds($0) })
        backoff.connected()
        let upper = (0..<6).map { _ in backoff.failed(random: 0.999) }
        #expect(upper.allSatisfy { $0 <= .seconds(1) })
        #expect(upper[0] == .milliseconds(99) && upper[5] == .milliseconds(999))
    }
}
