// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Health: what checks and traffic tell of each server.
// Flows through: the outcomes of `HealthCheck` and failed connects of all loops -> `HealthStateMachine` -> a standing in the next snapshot.
// Owner: the pool's directory, on the control loop; a check owns its connection and is over within its timeout.
// Must hold: a server is up until something says otherwise; one check at a time; signs of traffic alone never empty a pool.

import Logging
import Metrics
import Reactor

/// One server under watch: its health, its running check and its next one. Confined to the control loop, owned by the directory.
final class CheckedServer {
    let server: PooledServer
    let weight: Int
    private(set) var machine: HealthStateMachine
    private let health: HealthConfiguration
    private let loop: Loop
    private let logger: Logger
    private var check: HealthCheck?
    private var timer: LoopTimer?
    private var isStopped = false
    /// The standing changed: the pool needs a new snapshot.
    private let changed: () -> Void
    /// May this server be ejected without leaving the pool too small?
    private let allowsEjection: () -> Bool

    init(
        _ server: PooledServer,
        weight: Int,
        pool: PoolConfiguration,
        loop: Loop,
        logger: Logger,
        changed: @escaping () -> Void,
        allowsEjection: @escaping () -> Bool
    ) {
        self.server = server
        self.weight = weight
        machine = HealthStateMachine(health: pool.health, passive: pool.passive)
        health = pool.health
        self.loop = loop
        self.logger = logger
        self.changed = changed
        self.allowsEjection = allowsEjection
        server.gauges.up.set(1)
    }

    /// The same server with another weight keeps its health.
    init(_ other: CheckedServer, weight: Int) {
        server = other.server
        self.weight = weight
        machine = other.machine
        health = other.health
        loop = other.loop
        logger = other.logger
        changed = other.changed
        allowsEjection = other.allowsEjection
    }

    /// Checks now, and from then on every interval.
    func checkNow() {
        guard !isStopped, check == nil else { return }
        timer?.cancel()
        timer = nil
        check = HealthCheck(server.endpoint, health, on: loop) { [weak self] outcome in self?.checked(outcome) }
    }

    func stop() {
        isStopped = true
        timer?.cancel()
        check?.cancel()
        check = nil
    }

    func connectFailed() {
        guard !isStopped else { return }
        apply(machine.connectFailed(at: loop.milliseconds), because: "connects failed")
    }

    func timePassed() {
        apply(machine.timePassed(to: loop.milliseconds), because: "fail_timeout passed")
    }

    private func checked(_ outcome: HealthCheck.Outcome) {
        check = nil
        switch outcome {
        case .passed: apply(machine.checkPassed(), because: "check passed")
        case .draining: apply(machine.checkAnsweredDraining(), because: "check answered draining")
        case .failed(let cause): apply(machine.checkFailed(), because: "check failed: \(cause)")
        }
        guard !isStopped, check == nil else { return }
        // Spread over a tenth of the interval to both sides, or all balancers would knock at the same moment.
        timer = loop.after(health.interval * Double.random(in: 0.9...1.1)) { [weak self] in self?.checkNow() }
    }

    private func apply(_ action: HealthStateMachine.Action, because reason: String) {
        switch action {
        case .none:
            break
        case .checkNow:
            checkNow()
        case .proposeEjection:
            if allowsEjection() { apply(machine.ejectionAllowed(at: loop.milliseconds), because: reason) }
            checkNow()
        case .stand(let standing):
            server.gauges.up.set(standing == .up ? 1 : 0)
            logger.log(
                .notice,
                "server changed its state",
                [.pool: server.pool, .server: server.name, .state: standing.rawValue, .reason: reason]
            )
            changed()
        }
    }
}
