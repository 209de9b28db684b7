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
        case ping = "PING"
        case subscribe = "SUBSCRIBE"

        /// A server whose ACL forbids CLIENT is as good without the name.
        var isRequired: Bool {
            switch self {
            case .authenticate, .select, .ping, .subscribe: true
            case .name: false
            }
        }
    }

    let steps: [Step]
    let bytes: [UInt8]

    init(_ configuration: NotifierConfiguration, purpose: RedisPurpose) {
        var steps: [Step] = []
        var bytes: [UInt8] = []
        if let password = configuration.endpoint.password {
            steps.append(.authenticate)
            bytes += RESPCommand.encode(["AUTH"] + (configuration.endpoint.user.map { [$0] } ?? []) + [password])
        }
        if configuration.endpoint.database != 0 {
            steps.append(.select)
            bytes += RESPCommand.encode("SELECT", String(configuration.endpoint.database))
        }
        steps.append(.name)
        bytes += RESPCommand.encode("CLIENT", "SETNAME", configuration.clientName)
        switch purpose {
        case .commands:
            // The one command whose answer shows that a missing AUTH is needed, or that the data set still loads.
            steps.append(.ping)
            bytes += RESPCommand.encode("PING")
        case .subscription(let channels):
            steps += channels.map { _ in .subscribe }
            bytes += RESPCommand.encode(["SUBSCRIBE"] + channels)
        }
        self.steps = steps
        self.bytes = bytes
    }
}
