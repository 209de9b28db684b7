// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Everything that the pages and commands tell, at one moment. A value: made on the control loop when somebody asks.
struct StatusReport {
    /// What one listener, pool or server has carried.
    struct Figures {
        var totals: TrafficTotals
        /// Exchanges and tunnels; of a listener, connections. The highest is that of a look a second.
        var current: Int
        var highest: Int
        /// Requests in the last second.
        var rate: Int
        var highestRate: Int
    }

    struct Listener {
        let address: String
        let figures: Figures
    }

    struct Pool {
        let status: PoolStatus
        /// The servers' and the balancer's own answers together.
        let figures: Figures
        let servers: [PooledMember]

        var usable: Int { servers.count { $0.status.standing == .up || $0.status.standing == .drain } }
        var exchanges: Int { servers.reduce(0) { $0 + $1.status.exchanges } }
        var tunnels: Int { servers.reduce(0) { $0 + $1.status.tunnels } }
    }

    struct PooledMember {
        let status: ServerStatus
        let figures: Figures
    }

    let instance: String
    let processID: Int
    let loops: Int
    /// Seconds since 1970, and since then.
    let startedAt: Int
    let uptime: Int
    let isDraining: Bool
    let listeners: [Listener]
    let pools: [Pool]

    /// Of all listeners.
    var requests: Int { listeners.reduce(0) { $0 + $1.figures.totals[.requests] } }
    var rate: Int { listeners.reduce(0) { $0 + $1.figures.rate } }
    var connections: Int { listeners.reduce(0) { $0 + $1.figures.current } }
    var bytesIn: Int { listeners.reduce(0) { $0 + $1.figures.totals[.bytesIn] } }
    var bytesOut: Int { listeners.reduce(0) { $0 + $1.figures.totals[.bytesOut] } }
    var serverErrors: Int { listeners.reduce(0) { $0 + $1.figures.totals[.serverErrors] } }
    var exchanges: Int { pools.reduce(0) { $0 + $1.exchanges } }
    var tunnels: Int { pools.reduce(0) { $0 + $1.tunnels } }
}
