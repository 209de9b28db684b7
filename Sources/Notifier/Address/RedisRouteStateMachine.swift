// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Reactor

/// Decides where the next attempt goes and how long it waits; a value, owned by its link. Times are the loop's milliseconds.
package struct RedisRouteStateMachine {
    private enum State {
        case idle
        /// So many other sentinels may still be asked in this attempt.
        case asking(others: Int)
        case connecting(Endpoint)
        case open(Endpoint)

        var name: String {
            switch self {
            case .idle: "idle"
            case .asking: "asking"
            case .connecting: "connecting"
            case .open: "open"
            }
        }
    }

    package enum AttemptAction: Equatable {
        case connect(Endpoint)
        /// Ask this sentinel for the master.
        case ask(Endpoint)
    }

    package enum SentinelAction: Equatable {
        case ask(Endpoint)
        case retry(after: Duration)
    }

    package enum MoveAction: Equatable {
        /// Close the connection; `closed` then says where to.
        case leave
        case stay
    }

    package enum CloseAction: Equatable {
        case attempt
        case retry(after: Duration)
    }

    /// Redirections that are followed without a pause: one is usual, two happen while a slot changes its owner.
    private static let redirectionLimit = 3
    /// How long an owner that couldn't be reached is left alone. Until then any node does: it publishes as well, and only keys must wait.
    private static let ownerRest: UInt64 = 2_000
    /// Nodes of one answer that are remembered; more would only be more of the same.
    private static let nodeLimit = 64

    private let topology: RedisEndpoint.Topology
    /// The URL's, which stay whatever nodes say.
    private let seeds: [Endpoint]
    /// The one to try next is in front.
    private var servers: [Endpoint]
    private var state = State.idle
    private var backoff = ReconnectBackoff()
    /// Of our keys, as a node of the cluster said.
    private var owner: Endpoint?
    private var resting: (owner: Endpoint, until: UInt64)?
    private var redirections = 0

    package init(servers: [Endpoint], topology: RedisEndpoint.Topology) {
        seeds = servers
        self.servers = servers
        self.topology = topology
    }

    /// The sentinel, or the node, that is next.
    package var next: Endpoint { servers[0] }

    package mutating func attemptDue() -> AttemptAction {
        switch state {
        case .idle:
            switch topology {
            case .fixed: return connect(to: next)
            case .cluster: return connect(to: owner ?? next)
            case .sentinel:
                state = .asking(others: servers.count - 1)
                return .ask(next)
            }
        case .asking, .connecting, .open:
            illegal("attemptDue")
        }
    }

    // MARK: Sentinels

    package mutating func masterTold(_ master: Endpoint) -> AttemptAction {
        switch state {
        case .asking: return connect(to: master)
        case .idle, .connecting, .open: illegal("masterTold")
        }
    }

    package mutating func sentinelFailed(random: Double) -> SentinelAction {
        switch state {
        case .asking(let others):
            rotate()
            guard others > 0 else {
                state = .idle
                return .retry(after: backoff.failed(random: random))
            }
            state = .asking(others: others - 1)
            return .ask(next)
        case .idle, .connecting, .open:
            illegal("sentinelFailed")
        }
    }

    /// What a sentinel says now about the master that we talk to; nil when it didn't answer.
    package mutating func masterChecked(_ master: Endpoint?) -> MoveAction {
        switch state {
        case .open(let server):
            guard let master else {
                rotate()
                return .stay
            }
            return master == server ? .stay : .leave
        case .idle, .asking, .connecting:
            // The connection was lost while the sentinel was asked.
            return .stay
        }
    }

    // MARK: Clusters

    /// Replaces what was told before: nodes come and go.
    package mutating func nodesTold(_ nodes: [Endpoint]) {
        switch topology {
        case .cluster:
            // An answer that can't be read is no news.
            guard !nodes.isEmpty else { return }
            var known = [next]
            for node in nodes.prefix(Self.nodeLimit) + seeds where !known.contains(node) { known.append(node) }
            servers = known
        case .fixed, .sentinel:
            break
        }
    }

    /// A node refused a command because our keys are at `owner`.
    package mutating func moved(to owner: Endpoint, at now: UInt64) -> MoveAction {
        switch (topology, state) {
        case (.cluster, .connecting(let server)), (.cluster, .open(let server)):
            if let resting, resting.owner == owner, now < resting.until { return .stay }
            // One that names itself is in the middle of a change.
            guard owner != server else { return .stay }
            self.owner = owner
            return .leave
        case (.fixed, _), (.sentinel, _), (.cluster, .idle), (.cluster, .asking):
            // A cluster behind a plain address isn't followed; and the connection may have been lost with the reply in its last read.
            return .stay
        }
    }

    // MARK: The connection

    package mutating func opened() {
        switch state {
        case .connecting(let server):
            state = .open(server)
            backoff.connected()
            redirections = 0
        case .idle, .asking, .open:
            illegal("opened")
        }
    }

    /// The attempt failed, or the open connection was lost or left.
    package mutating func closed(at now: UInt64, random: Double) -> CloseAction {
        let (server, wasOpen): (Endpoint, Bool) =
            switch state {
            case .connecting(let server): (server, false)
            case .open(let server): (server, true)
            case .idle, .asking: illegal("closed")
            }
        state = .idle
        if let owner, owner != server {
            redirections += 1
            if redirections <= Self.redirectionLimit, !wasOpen { return .attempt }
        } else {
            if !wasOpen, owner == server {
                resting = (server, now + Self.ownerRest)
                owner = nil
            }
            // Another sentinel may know better, and another node may live.
            if topology != .cluster || server == next { rotate() }
        }
        return .retry(after: backoff.failed(random: random))
    }

    private mutating func connect(to server: Endpoint) -> AttemptAction {
        state = .connecting(server)
        return .connect(server)
    }

    private mutating func rotate() {
        servers.append(servers.removeFirst())
    }

    private func illegal(_ event: String) -> Never {
        preconditionFailure("\(event) while \(state.name)")
    }
}
