// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Logging
import Metrics
import Reactor
import Synchronization

extension BalancerService {
    /// Makes the balancer what `new` says, and touches only what differs. Requests under way end with the settings they began with.
    /// What it was told at run time (discovered servers, operators' changes) stays.
    ///
    /// - Throws: `configuration_invalid` with all faults, `listen_failed`, `stopped`; then nothing has changed.
    @discardableResult
    package func apply(_ new: BalancerConfiguration) async throws -> ConfigurationDifference {
        try await changes.pass { try await self.applyInTurn(new) }
    }

    /// Reads the configuration anew and applies it. Never throws: what happened is logged, fault by fault, and counted.
    @discardableResult
    package func reload(_ read: @Sendable () throws(BalancerError) -> BalancerConfiguration) async -> ConfigurationReload {
        await reloadTellingFaults(read).result
    }

    /// The same for an operator who wants to be told what is wrong.
    func reloadTellingFaults(
        _ read: @Sendable () throws(BalancerError) -> BalancerConfiguration
    ) async -> (result: ConfigurationReload, faults: [String]) {
        let result: ConfigurationReload
        var faults: [String] = []
        do {
            let difference = try await apply(try read())
            result = difference.isEmpty ? .unchanged : .applied
            logger.log(.notice, "configuration \(result.rawValue)", [.changes: difference.keys.joined(separator: " ")])
        } catch let error as BalancerError {
            result = .refused
            faults = error.faults.isEmpty ? [error.description] : error.faults.map(\.description)
        } catch {
            result = .refused
            faults = ["\(error)"]
        }
        for fault in faults { logger.log(.error, "configuration refused", [.error: fault]) }
        state.withLock { $0.running?.services.metrics }?.reloads[result]?.increment()
        return (result, faults)
    }

    /// Some pool asks for what a registry finds.
    package var wantsDiscovery: Bool {
        state.withLock { $0.running?.live.configuration.pools.contains { !$0.discover.isEmpty } } ?? false
    }

    /// What a registry has found, by pool; it is the whole, and replaces what was found before. Before `listening` nobody is there to hear.
    package func discover(_ sets: [String: [DiscoveredServer]]) {
        guard let sources = state.withLock({ $0.running?.sources }) else { return }
        sources.loop.post { sources.value.discover(sets) }
    }

    private func applyInTurn(_ new: BalancerConfiguration) async throws -> ConfigurationDifference {
        guard let (running, passed) = state.withLock({ state in state.isStopping ? nil : state.running.map { ($0, state.passed) } }) else {
            throw BalancerError(.stopped, "the balancer isn't running, or drains")
        }
        let before = running.live
        // Everything that can fail comes before anything that changes.
        try new.validate()
        let routes = try RouteTable(new, keeping: before.routes)
        let users = try AdminUsers(new.admin?.users ?? [])
        try passed.check(new, operators: before.configuration.admin)
        let open = try LiveConfiguration.open(new.listeners, keeping: before.listeners, passed: passed, count: loops.loops.count)
        let secured = try identities.prepare(new.secureListeners)
        let difference = ConfigurationDifference(from: before.configuration, to: new)
        let shares = running.parts.indices.map { share(of: $0, new.listeners, open, secured) }
        if difference.hasListeners { try await prepare(shares, running) }
        identities.adopt(secured)

        // A random key, once there is one, lasts as long as no other is configured.
        let keys = new.stickyKeys ?? (before.configuration.stickyKeys == nil ? before.keys : .random())
        running.services.admission.become(perSecond: new.limits.upgradesPerSecond)
        let formerCookies = before.formerCookies(after: new)
        let settings = LoopSettings(new, routes: routes, formerCookies: formerCookies, services: running.services)
        let (sources, relay) = (running.sources, running.relay)
        // In one turn, so that no loop sees routes to pools that it doesn't have.
        try await sources.loop.run { relay.publish(settings, sources.value.apply(new, keys: keys)) }

        try await adopt(users, of: new, running)

        let isDraining = state.withLock { state in
            if state.isStopping { return true }
            var inForce = new
            // Of what was bound at the start: see `adopt`.
            inForce.admin?.bind = before.configuration.admin?.bind
            inForce.admin?.socket = before.configuration.admin?.socket
            if (new.admin == nil) != (before.configuration.admin == nil) { inForce.admin = before.configuration.admin }
            state.running?.live = LiveConfiguration(
                configuration: inForce,
                routes: routes,
                keys: keys,
                formerCookies: formerCookies,
                listeners: open
            )
            return false
        }
        for (part, own) in zip(running.parts, shares) {
            // At the latest now each loop has the settings too. A drain has closed all listeners, and none may come back.
            try await part.loop.run {
                guard difference.hasListeners else { return }
                if isDraining { part.value.discardPrepared() } else { part.value.listen(on: own) }
            }
        }
        return difference
    }

    /// The last thing that can fail: all loops can listen where they are to listen, or nothing has changed.
    private func prepare(_ shares: [[(socket: ListenSocket, traits: ListenerTraits)]], _ running: Running) async throws {
        do {
            for (part, own) in zip(running.parts, shares) { try await part.loop.run { try part.value.prepare(own) } }
        } catch {
            for part in running.parts { try? await part.loop.run { part.value.discardPrepared() } }
            throw (error as? ReactorError).map { BalancerError(.listenFailed, $0.message, underlying: $0) } ?? error
        }
    }

    /// The admin listener stays where it was bound at the start. Users that are meant for another address must not open this one.
    private func adopt(_ users: AdminUsers, of new: BalancerConfiguration, _ running: Running) async throws {
        let old = running.live.configuration.admin
        guard new.admin?.bind == old?.bind, new.admin?.socket == old?.socket else {
            logger.log(.warning, "the admin listener stays as it is until a restart", [.changes: "admin"])
            return
        }
        guard let site = running.site else { return }
        try await site.loop.run { site.value.adopt(users) }
    }
}
