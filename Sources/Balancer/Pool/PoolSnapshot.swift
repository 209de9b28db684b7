// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// A pool as the directory last saw it. Immutable; every change makes a new one. An object, because every request looks at it, and a value of
/// this size isn't copied for nothing.
final class PoolSnapshot: Sendable {
    struct Member: Sendable {
        let server: PooledServer
        /// With what operators changed.
        let configuration: ServerConfiguration
        let standing: ServerStanding
        /// What its weight counts now, in units of `SlowStart.unit` for each 1.
        let share: Int
        /// What its limit is now.
        let limit: Int
        /// Takes new clients.
        let isCandidate: Bool
        /// A backup that is up while others serve: for requests that failed at all of those.
        let isReserve: Bool

        var weight: Int { configuration.weight }
    }

    let configuration: PoolConfiguration
    let members: [Member]
    let sticky: StickyRule?
    let queue: PoolQueue
    let transport: ServerTransport
    /// No server is up, and all are used as if they were, but for those that an operator drains or has taken out.
    let isPanicking: Bool
    /// Is there a server whose connections are counted?
    let hasLimits: Bool

    /// One server as the directory knows it.
    struct Entry {
        let server: PooledServer
        let configuration: ServerConfiguration
        let standing: ServerStanding
        /// An operator drains it, whatever its checks say.
        let isLeaving: Bool
        /// How far a slow start has come.
        let fraction: Double

        /// Used in a panic.
        fileprivate var isLastResort: Bool { !isLeaving && (standing == .down || standing == .ejected) }
    }

    /// `servers` in the order of the configuration.
    init(
        _ configuration: PoolConfiguration,
        members servers: [Entry],
        sticky: StickyRule?,
        queue: PoolQueue,
        transport: ServerTransport
    ) {
        self.configuration = configuration
        self.sticky = sticky
        self.queue = queue
        self.transport = transport
        let isPanicking =
            configuration.panic && !servers.contains { $0.standing == .up } && servers.contains { $0.isLastResort }
        self.isPanicking = isPanicking
        let usable = servers.map { server in
            let isUp = server.standing == .up || isPanicking && server.isLastResort
            return isUp && server.configuration.weight > 0
        }
        let hasPrimary = zip(servers, usable).contains { !$0.configuration.isBackup && $1 }
        let candidates = zip(servers, usable).map { $1 && (!hasPrimary || !$0.configuration.isBackup) }
        let isAlone = candidates.count { $0 } == 1
        members = servers.indices.map { index in
            let server = servers[index]
            // The only usable one has nobody to leave the rest to.
            let fraction = isAlone && candidates[index] ? 1 : server.fraction
            return Member(
                server: server.server,
                configuration: server.configuration,
                standing: server.standing,
                share: SlowStart.share(of: server.configuration.weight, fraction),
                limit: SlowStart.limit(server.configuration.maxConnections, fraction),
                isCandidate: candidates[index],
                isReserve: usable[index] && !candidates[index]
            )
        }
        hasLimits = members.contains { $0.limit > 0 }
    }

    var name: String { configuration.name }

    var usableCount: Int { members.count { $0.standing == .up } }

    /// Why a client that is pinned to this member can't have it; nil where it can.
    func refusal(ofPin member: Int) -> StickyRefusal? {
        switch members[member].standing {
        case .up, .drain: nil
        case .draining, .drained: .draining
        case .down, .ejected: isPanicking ? nil : .down
        case .maint: .down
        }
    }
}
