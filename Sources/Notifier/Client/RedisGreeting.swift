// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Wire

/// What a connection is for. A subscribed connection of RESP2 takes no other commands, so the two never mix.
enum RedisPurpose: Sendable {
    case commands
    case subscription([String])

    var label: String {
        switch self {
        case .commands: "commands"
        case .subscription: "subscriber"
        }
    }
}

/// The commands every connection begins with, sent in one write. Immutable.
package struct RedisGreeting {
    /// One expected answer.
    package enum Step: String, Sendable {
        case authenticate = "AUTH"
        case select = "SELECT"
        case name = "CLIENT"
        /// Of a master that a sentinel named.
        case role = "ROLE"
        /// Of a cluster.
        case nodes = "CLUSTER"
        /// Any command on a key of ours: a node that hasn't got them says who has.
        case owner = "ZRANGE"
        case ping = "PING"
        case subscribe = "SUBSCRIBE"

        /// A server whose ACL forbids CLIENT is as good without the name, a cluster's first nodes may do, and any node publishes.
        private var isRequired: Bool {
            switch self {
            case .authenticate, .select, .role, .ping, .subscribe: true
            case .name, .nodes, .owner: false
            }
        }

        /// Why this answer ends the connection.
        func fault(_ reply: RESPValue) -> NotifierError? {
            if case .error(let text) = reply { return isRequired ? .reply(text, to: rawValue) : nil }
            switch self {
            case .role where reply.array?.first?.string != "master":
                return NotifierError(.away, "the Redis that a sentinel named is not a master, or not yet; the sentinels are asked again")
            case .authenticate, .select, .name, .role, .nodes, .owner, .ping, .subscribe:
                return nil
            }
        }
    }

    private(set) var steps: [Step] = []
    private(set) var bytes: [UInt8] = []

    private init() {}

    /// For a server that keeps and publishes what is ours.
    init(_ configuration: NotifierConfiguration, purpose: RedisPurpose) {
        let endpoint = configuration.endpoint
        add(.authenticate, endpoint.login)
        if endpoint.database != 0 { add(.select, ["SELECT", String(endpoint.database)]) }
        add(.name, ["CLIENT", "SETNAME", configuration.clientName])
        switch endpoint.topology {
        case .fixed: break
        case .sentinel: add(.role, ["ROLE"])
        case .cluster: add(.nodes, ["CLUSTER", "SLOTS"])
        }
        switch purpose {
        case .commands:
            if endpoint.topology == .cluster { add(.owner, ["ZRANGE", RegistryKeys(cluster: configuration.keyPrefix).index, "0", "0"]) }
            // The one command whose answer shows that a missing AUTH is needed, or that the data set still loads.
            add(.ping, ["PING"])
        case .subscription(let channels):
            for _ in channels { steps.append(.subscribe) }
            bytes += RESPCommand.encode(["SUBSCRIBE"] + channels)
        }
    }

    static func sentinel(_ configuration: NotifierConfiguration) -> RedisGreeting {
        var greeting = RedisGreeting()
        greeting.add(.authenticate, configuration.endpoint.sentinelLogin)
        greeting.add(.name, ["CLIENT", "SETNAME", configuration.clientName])
        greeting.add(.ping, ["PING"])
        return greeting
    }

    private mutating func add(_ step: Step, _ login: RedisLogin?) {
        if let login { add(step, ["AUTH"] + login.arguments) }
    }

    private mutating func add(_ step: Step, _ command: [String]) {
        steps.append(step)
        bytes += RESPCommand.encode(command)
    }
}
