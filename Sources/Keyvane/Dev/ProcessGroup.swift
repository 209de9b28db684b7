// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Logging
import Reactor

/// One process to keep running.
struct ProcessPlan: Sendable {
    let name: String
    let arguments: [String]
    let environment: [String: String]
    /// What asks it to end in order.
    var stopSignal = SIGTERM
    /// What the kernel sends it when we die without asking it to end.
    var orphanSignal = "KILL"
}

/// Keeps a set of child processes running: a dead one is started again, on the same arguments and so on its old port.
///
/// An actor on its loop, because the kernel ties a child's life to the thread that started it (`setpriv --pdeathsig`): a loop's thread lives
/// as long as we do, whatever ends us.
actor ProcessGroup {
    nonisolated let loop: Loop
    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    private let logger: Logger
    private var members: [String: Member] = [:]
    private let restarts: AsyncStream<String>.Continuation
    /// Names of processes that were started again.
    nonisolated let restarted: AsyncStream<String>

    private struct Member {
        let plan: ProcessPlan
        var child: ChildProcess?
        var started: UInt64 = 0
        var quickDeaths = 0
        /// True once it was told to stop: its end is wanted.
        var isStopping = false
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    init(loop: Loop, logger: Logger) {
        self.loop = loop
        self.logger = logger
        // One element a restart, each a short name: bounded by the pace of restarts.
        (restarted, restarts) = AsyncStream.makeStream(of: String.self, bufferingPolicy: .bufferingNewest(64))
    }

    func start(_ plan: ProcessPlan) throws {
        members[plan.name] = Member(plan: plan)
        try spawn(plan.name)
    }

    func identifier(of name: String) -> Int32? { members[name]?.child?.identifier }

    /// Sends a signal as a person with `kill` would: the group notices only by the death.
    func kill(_ name: String, _ signal: Int32) {
        members[name]?.child?.signal(signal)
    }

    /// Starts a stopped member again.
    func resume(_ name: String) throws {
        members[name]?.isStopping = false
        guard members[name]?.child == nil else { return }
        try spawn(name)
        restarts.yield(name)
    }

    /// Asks the members to end, kills those that still run after `limit`, and returns when all have ended.
    func stop(_ names: [String], signal: Int32? = nil, within limit: Duration) async {
        for name in names {
            members[name]?.isStopping = true
            guard let member = members[name], let child = member.child else { continue }
            child.signal(signal ?? member.plan.stopSignal)
        }
        let deadline = loop.after(limit) { self.assumeIsolated { $0.killRemaining(names) } }
        for name in names { await ended(name) }
        deadline.cancel()
    }

    private func killRemaining(_ names: [String]) {
        for name in names {
            guard let child = members[name]?.child else { continue }
            logger.warning("A process did not end in time and is killed.", metadata: ["process": .string(name)])
            child.signal(SIGKILL)
        }
    }

    private func ended(_ name: String) async {
        guard members[name]?.child != nil else { return }
        await withCheckedContinuation { members[name]?.waiting.append($0) }
    }

    private func spawn(_ name: String) throws {
        guard let plan = members[name]?.plan else { return }
        let child = try ChildProcess.spawn(
            ["setpriv", "--pdeathsig", plan.orphanSignal, "--"] + plan.arguments,
            environment: plan.environment,
            on: loop
        ) { exit in
            self.assumeIsolated { $0.memberEnded(name, exit) }
        }
        members[name]?.child = child
        members[name]?.started = loop.milliseconds
    }

    private func memberEnded(_ name: String, _ exit: ChildExit) {
        guard var member = members[name] else { return }
        member.child = nil
        for waiter in member.waiting { waiter.resume() }
        member.waiting = []
        let lived = loop.milliseconds - member.started
        member.quickDeaths = lived < 5_000 ? member.quickDeaths + 1 : 0
        members[name] = member
        guard !member.isStopping else { return }
        // The first death costs 100 ms; one that keeps dying is tried every 1.6 s.
        let pause = Duration.milliseconds(min(100 << min(member.quickDeaths, 4), 1_600))
        logger.warning(
            "A process ended and is started again.",
            metadata: ["process": .string(name), "end": .string(exit.description), "after": .string("\(pause)")]
        )
        loop.after(pause) { self.assumeIsolated { $0.restart(name) } }
    }

    private func restart(_ name: String) {
        guard let member = members[name], !member.isStopping, member.child == nil else { return }
        do {
            try spawn(name)
            restarts.yield(name)
        } catch {
            logger.error("A process can't be started.", metadata: ["process": .string(name), "error": .string("\(error)")])
            loop.after(.seconds(1)) { self.assumeIsolated { $0.restart(name) } }
        }
    }
}
