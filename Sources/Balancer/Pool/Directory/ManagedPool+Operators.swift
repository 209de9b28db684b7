// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor

/// What operators do to one server, and what they see.
extension ManagedPool {
    func perform(_ command: ServerCommand, on server: ManagedServer) throws(BalancerError) {
        var configuration = server.effective
        switch command {
        case .state(let state):
            let before = server.administration.wish
            server.change(state)
            // Also where its standing stays, as that of a server that is down: in a panic the wish counts.
            if server.administration.wish != before { changed() }
            return
        case .add(let new):
            try add(new)
            return
        case .remove:
            remove(server)
            return
        case .weight(let weight):
            configuration.weight = weight
            try validate(configuration, of: server)
            server.change(weight: weight)
        case .maxConnections(let limit):
            configuration.maxConnections = limit
            try validate(configuration, of: server)
            server.change(maxConnections: limit)
        case .route(let route):
            configuration.route = route
            try validate(configuration, of: server)
            server.change(route: route)
        }
        membersChanged()
    }

    /// As the server would be, among the others.
    private func validate(_ configuration: ServerConfiguration, of server: ManagedServer) throws(BalancerError) {
        let others = servers.filter { $0 !== server }.map(\.effective)
        try PoolConfiguration.validate(others + [configuration], pool: name)
    }

    var status: PoolStatus {
        let snapshot = snapshot
        return PoolStatus(
            name: name,
            configuration: configuration,
            servers: zip(servers, snapshot.members).map { status(of: $0, as: $1) },
            isPanicking: snapshot.isPanicking,
            queued: queue.count
        )
    }

    private func status(of server: ManagedServer, as member: PoolSnapshot.Member) -> ServerStatus {
        let now = loop.milliseconds
        let effective = server.effective
        let counts = server.server
        let traffic = counts.traffic
        var drain: ServerStatus.Drain?
        if server.administration.wish == .drain {
            let left = server.administration.deadline.map { ($0 - min($0, now) + 999) / 1000 } ?? 0
            drain = ServerStatus.Drain(exchangesLeft: counts.exchanges, tunnelsLeft: counts.tunnels, secondsToDeadline: Int(left))
        }
        return ServerStatus(
            name: counts.name,
            address: counts.endpoint.description,
            origin: server.origin,
            isBackup: effective.isBackup,
            route: effective.route,
            standing: server.standing,
            administrative: server.administration.wish,
            reason: server.reason,
            secondsInState: Int((now - server.since) / 1000),
            weight: effective.weight,
            effectiveWeight: member.isCandidate ? Double(member.share) / Double(SlowStart.unit) : 0,
            maxConnections: effective.maxConnections,
            effectiveMaxConnections: member.limit,
            exchanges: counts.exchanges,
            tunnels: counts.tunnels,
            requests: traffic[.requests],
            queued: queue.count(for: counts),
            traffic: traffic,
            check: server.record.check(at: now),
            checksFailed: server.record.failures,
            downs: server.record.downs,
            secondsDown: server.record.secondsDown(at: now),
            drain: drain
        )
    }
}

extension ServerCommand {
    /// For the log.
    var name: String {
        switch self {
        case .state(let state): "state \(state.rawValue)"
        case .weight(let weight): "weight \(weight)"
        case .maxConnections(let limit): "maxconn \(limit)"
        case .route(let route): "route \(route ?? "none")"
        case .add: "add"
        case .remove: "remove"
        }
    }
}
