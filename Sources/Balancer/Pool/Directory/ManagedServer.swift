// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Logging
import Metrics
import Reactor

/// One server under watch: what operators, its checks and the traffic say of it, its running check and its next one. Confined to the
/// control loop, owned by its pool.
final class ManagedServer {
    /// Operators' changes at run time. Each lasts until the configuration itself changes that value.
    private struct Overrides {
        var weight: Int?
        var maxConnections: Int?
        var route: String??
    }

    let server: PooledServer
    private(set) var origin: ServerStatus.Origin
    private(set) var configured: ServerConfiguration
    private(set) var health: HealthStateMachine
    private(set) var administration = AdministrativeStateMachine()
    private(set) var standing = ServerStanding.up
    private(set) var slowStart: SlowStart?
    private(set) var record = CheckRecord()
    private(set) var reason = "it begins up"
    private(set) var since: UInt64
    private var overrides = Overrides()
    private unowned let pool: ManagedPool
    private let loop: Loop
    private let logger: Logger
    private var check: (any ServerCheck)?
    private var timer: LoopTimer?
    private var isStopped = false

    init(_ configured: ServerConfiguration, as server: PooledServer, origin: ServerStatus.Origin, of pool: ManagedPool) {
        self.server = server
        self.configured = configured
        self.origin = origin
        self.pool = pool
        loop = pool.loop
        logger = pool.logger
        since = loop.milliseconds
        health = HealthStateMachine(health: pool.configuration.health, passive: pool.configuration.passive)
        server.series.up.set(1)
        server.series.draining.set(0)
    }

    /// The configuration with the operators' changes.
    var effective: ServerConfiguration {
        var effective = configured
        if let weight = overrides.weight { effective.weight = weight }
        if let maxConnections = overrides.maxConnections { effective.maxConnections = maxConnections }
        if let route = overrides.route { effective.route = route }
        return effective
    }

    /// Takes new requests in turn, as far as it alone is concerned.
    var isUsable: Bool { standing == .up && effective.weight > 0 }

    /// The part of its weight and of its connection limit that counts now.
    func fraction(at now: UInt64) -> Double {
        slowStart?.fraction(at: now) ?? 1
    }

    // MARK: Configuration

    func isKnown(as other: ServerConfiguration) -> Bool {
        server.name == other.name && server.endpoint == other.address
    }

    /// An operator's change gives way only where the configuration changed the same value.
    func configure(_ new: ServerConfiguration, origin: ServerStatus.Origin) {
        self.origin = origin
        if new.weight != configured.weight { overrides.weight = nil }
        if new.maxConnections != configured.maxConnections { overrides.maxConnections = nil }
        if new.route != configured.route { overrides.route = nil }
        configured = new
    }

    /// The pool's rules are others now.
    func poolChanged(from old: PoolConfiguration) {
        let new = pool.configuration
        guard new.health != old.health || new.passive != old.passive || new.tls != old.tls else { return }
        health.configure(health: new.health, passive: new.passive)
        if check == nil, timer != nil { checkNow() }
    }

    func change(weight: Int) { overrides.weight = weight }
    func change(maxConnections: Int) { overrides.maxConnections = maxConnections }
    func change(route: String?) { overrides.route = .some(route) }

    /// The server came when the pool had others already.
    func startSlowly() {
        slowStart = SlowStart(at: loop.milliseconds, lasting: pool.configuration.slowStart)
    }

    // MARK: Administration

    func change(_ state: AdministrativeState) {
        let action =
            switch state {
            case .ready: administration.readyAsked()
            case .drain: administration.drainAsked(at: loop.milliseconds, lasting: pool.limits.drain.wholeMilliseconds)
            case .maint: administration.maintenanceAsked()
            }
        perform(action)
    }

    private func perform(_ action: AdministrativeStateMachine.Action) {
        switch action {
        case .none:
            return
        case .returnToService:
            settle(because: "an operator made it ready")
        case .beginAnew:
            beginAnew(because: "an operator made it ready")
        case .servePinned(let resumesChecks):
            if resumesChecks { beginAnew(because: "an operator drains it") } else { settle(because: "an operator drains it") }
        case .closeTunnels:
            settle(because: "its drain's deadline has passed")
        case .standDown:
            stopChecks()
            settle(because: "an operator took it out")
        }
    }

    /// What was known of it before it was in maintenance counts for nothing.
    private func beginAnew(because reason: String) {
        health = HealthStateMachine(health: pool.configuration.health, passive: pool.configuration.passive)
        settle(because: reason)
        checkNow()
    }

    // MARK: Checks

    /// Checks now, and from then on every interval.
    func checkNow() {
        guard !isStopped, administration.wish != .maint, check == nil else { return }
        timer?.cancel()
        timer = nil
        let began = loop.milliseconds
        check = HealthCheck(server.endpoint, pool.configuration.health, over: pool.transport, on: loop) { [weak self] outcome in
            self?.answered(outcome, began: began)
        }
    }

    /// A gateway that answers requests may still take no watchers: where the pool says so, that is tried too.
    private func answered(_ outcome: CheckOutcome, began: UInt64) {
        let health = pool.configuration.health
        guard outcome == .passed, let path = health.webSocketPath else { return checked(outcome, began: began) }
        var token: String?
        switch pool.checkToken {
        case .none: break
        case .token(let text): token = text
        case .unreadable: return checked(.failed("the file of the check's token can't be read"), began: began)
        }
        check = WebSocketCheck(
            server.endpoint,
            path: path,
            token: token,
            timeout: health.timeout,
            over: pool.transport,
            on: loop
        ) { [weak self] outcome in
            self?.checked(outcome, began: began)
        }
    }

    /// For good: the server has left the pool.
    func stop() {
        isStopped = true
        stopChecks()
    }

    private func stopChecks() {
        timer?.cancel()
        timer = nil
        check?.cancel()
        check = nil
    }

    func connectFailed() {
        guard !isStopped, administration.wish != .maint else { return }
        apply(health.connectFailed(at: loop.milliseconds), because: "connects failed")
    }

    /// As a check that was answered so, only earlier.
    func announcedDraining(in source: String) {
        guard !isStopped, administration.wish != .maint else { return }
        apply(health.checkAnsweredDraining(), because: "\(source) says draining")
    }

    func timePassed() {
        let now = loop.milliseconds
        if slowStart?.isOver(at: now) == true { slowStart = nil }
        perform(administration.timePassed(to: now))
        apply(health.timePassed(to: now), because: "fail_timeout passed")
    }

    private func checked(_ outcome: CheckOutcome, began: UInt64) {
        check = nil
        record.checked(outcome, began: began, at: loop.milliseconds)
        switch outcome {
        case .passed: apply(health.checkPassed(), because: "check passed")
        case .draining: apply(health.checkAnsweredDraining(), because: "check answered draining")
        case .failed(let cause): apply(health.checkFailed(), because: "check failed: \(cause)")
        }
        guard !isStopped, check == nil, administration.wish != .maint else { return }
        // Spread over a tenth of the interval to both sides, or all balancers would knock at the same moment.
        timer = loop.after(pool.configuration.health.interval * Double.random(in: 0.9...1.1)) { [weak self] in self?.checkNow() }
    }

    private func apply(_ action: HealthStateMachine.Action, because reason: String) {
        switch action {
        case .none:
            break
        case .checkNow:
            checkNow()
        case .proposeEjection:
            if pool.allowsEjection { apply(health.ejectionAllowed(at: loop.milliseconds), because: reason) }
            checkNow()
        case .stand:
            settle(because: reason)
        }
    }

    // MARK: Standing

    /// Brings the standing in line with what is known, and tells the pool where it is another one.
    private func settle(because reason: String) {
        let before = standing
        standing = ServerStanding(administration, health.standing)
        guard standing != before else { return }
        let now = loop.milliseconds
        self.reason = reason
        since = now
        record.stands(standing, at: now)
        slowStart = nil
        // An ejection was a doubt of a moment; everything else may have been a restart with empty caches.
        if standing == .up, before != .ejected, pool.hasOtherUsable(than: self) { startSlowly() }
        server.series.up.set(standing == .up ? 1 : 0)
        server.series.draining.set(standing == .drain || standing == .drained || standing == .draining ? 1 : 0)
        logger.log(
            standing == .down || standing == .ejected ? .warning : .notice,
            "server changed its state",
            [.pool: server.pool, .server: server.name, .state: standing.rawValue, .reason: reason]
        )
        pool.changedStanding(self, from: before)
    }
}
