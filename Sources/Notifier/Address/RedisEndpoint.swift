// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Reactor

// Where Redis is: from a URL to the one server that the next attempt goes to.
// Flows through: the URL's servers, what sentinels and cluster nodes say, and the attempts that failed, into one address at a time.
// Owner: a RedisLink owns its route and its question to a sentinel; the endpoint is a value that everybody shares.
// Must hold: plain Redis is a route with one address; no attempt follows another without a pause, but for a few redirections and the next
//   sentinel, which is asked at once, each once an attempt; no password in a description, an error or a log line.

/// Where Redis is and who we are there, read from its URL.
package struct RedisEndpoint: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package enum Topology: Hashable, Sendable {
        /// The one server is the one to talk to.
        case fixed
        /// The servers are sentinels, which know the master.
        case sentinel(master: String)
        /// The servers are some nodes of a cluster.
        case cluster
    }

    /// Never empty.
    package let servers: [Endpoint]
    package let topology: Topology
    let login: RedisLogin?
    let sentinelLogin: RedisLogin?
    let tls: TLSContext?
    package let database: Int

    init(
        servers: [Endpoint],
        topology: Topology,
        login: RedisLogin?,
        sentinelLogin: RedisLogin? = nil,
        tls: TLSContext? = nil,
        database: Int = 0
    ) {
        self.servers = servers
        self.topology = topology
        self.login = login
        self.sentinelLogin = sentinelLogin
        self.tls = tls
        self.database = database
    }

    /// What the keys of a cluster of ours begin with. In a cluster of Redis the braces keep all of them in one slot, where commands and
    /// scripts may name several.
    func keyPrefix(_ cluster: String) -> String {
        switch topology {
        case .fixed, .sentinel: cluster
        case .cluster: "{\(cluster)}"
        }
    }

    // MARK: What may be shown

    /// Without the password, on every way there is to print a value.
    package var description: String {
        let scheme = tls == nil ? "redis" : "rediss"
        let login = login.map { "\($0)@" } ?? ""
        let hosts = servers.map(\.description).joined(separator: ",")
        switch topology {
        case .fixed:
            guard case .unix(let path) = servers[0].kind else { return "\(scheme)://\(login)\(hosts)/\(database)" }
            return "redis+unix://\(login)\(path)?db=\(database)"
        case .sentinel(let master): return "\(scheme)+sentinel://\(login)\(hosts)/\(master)/\(database)"
        case .cluster: return "\(scheme)+cluster://\(login)\(hosts)"
        }
    }

    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: ["url": description]) }
}

/// A user of Redis' ACL, or the password of its default user.
struct RedisLogin: Sendable, CustomStringConvertible, CustomReflectable {
    let user: String?
    let password: String

    /// The arguments of AUTH.
    var arguments: [String] { (user.map { [$0] } ?? []) + [password] }

    var description: String { "\(user ?? ""):***" }
    var customMirror: Mirror { Mirror(self, children: ["user": user ?? ""]) }
}
