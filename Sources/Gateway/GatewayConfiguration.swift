// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Reactor

/// How a gateway listens, what it allows, and how long it waits.
package struct GatewayConfiguration: Sendable {
    package var listen: Endpoint
    /// The instance's name, in `ready` and `/health`.
    package var name: String
    package var version = "0.0.0"
    /// nil: plain.
    package var tls: TLSServerOptions?
    package var origins = OriginRule.sameHost
    /// Watching connections that are let in; the composition root gives the descriptor limit less 256.
    package var maximumConnections = 10_000
    /// And of one token, connect tokens of it included.
    package var maximumConnectionsPerToken: Int?
    /// Watches that may begin in a second.
    package var handshakeRate: Int?
    package var heartbeat: Duration = .seconds(20)
    /// A peer that sends nothing, not even a pong, for this long is gone.
    package var silenceLimit: Duration = .seconds(45)
    /// A socket that takes nothing for this long is given up.
    package var stallLimit: Duration = .seconds(60)
    package var headDeadline: Duration = .seconds(10)
    /// How long a connection may stand between two plain requests; longer than a proxy in front keeps it for reuse.
    package var idleDeadline: Duration = .seconds(75)
    package var authenticationDeadline: Duration = .seconds(10)
    /// Of Engine.IO, in whole seconds: when a Socket.IO client is asked for a sign of life, and how long it may take.
    package var pingInterval: Duration = .seconds(25)
    package var pingTimeout: Duration = .seconds(20)
    /// How long a Socket.IO client may be connected without having registered.
    package var registrationDeadline: Duration = .seconds(30)
    /// How long the peer's close frame is waited for.
    package var closeDeadline: Duration = .seconds(5)
    package var maximumMessage = 64 * 1024
    package var limits = WatchLimits()
    /// For conformance suites: every WebSocket is an echo, and nobody can watch.
    package var echoes = false
    /// How often heads are compared with PostgreSQL while Redis works.
    package var sweepInterval: Duration = .seconds(5)
    /// And while it is away.
    package var sweepIntervalWithoutRedis: Duration = .milliseconds(500)
    package var feedLinger: Duration = .seconds(30)
    /// Reads that may wait for PostgreSQL; more are `unavailable` at once.
    package var waitingReads = 8_192
    /// Audit rows that wait for PostgreSQL; beyond that nobody new may watch secrets. As many connections as a gateway can have leave
    /// half of this behind when they all come at once.
    package var maximumAuditBytes = 8 * 1024 * 1024
    /// Sockets closed a second in a drain, at least.
    package var drainRate = 500
    /// A drain closes faster than `drainRate` where that many would take longer than this.
    package var drainTime: Duration = .seconds(25)

    package init(listen: Endpoint, name: String) {
        self.listen = listen
        self.name = name
    }
}

/// What one connection may ask for.
package struct WatchLimits: Sendable, Hashable {
    package let environments: UInt16
    package let messagesPerSecond: UInt16

    package init(environments: UInt16 = 128, messagesPerSecond: UInt16 = 100) {
        self.environments = environments
        self.messagesPerSecond = messagesPerSecond
    }
}

/// What the composition root adds to a gateway.
package struct GatewayHooks: Sendable {
    /// The body of `/metrics`.
    package var metricsBody: @Sendable () -> String = { "" }
    /// A real PING; nil: the subscription's own state is told.
    package var pingRedis: (@Sendable () async throws -> Void)?
    /// Called when the drain begins: the registry's state, for instance.
    package var drainBegan: @Sendable () -> Void = {}
    /// Called when an operator wants it back.
    package var drainEnded: @Sendable () -> Void = {}

    package init() {}
}
