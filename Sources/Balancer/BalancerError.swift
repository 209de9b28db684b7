// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Reactor

/// Why the balancer can't start or can't take a change; what goes wrong with a single request is an answer, not an error.
package struct BalancerError: Error, CustomStringConvertible {
    package enum Code: String, Sendable {
        case poolFlagInvalid = "pool_flag_invalid"
        case configurationInvalid = "configuration_invalid"
        case stickyKeysInvalid = "sticky_keys_invalid"
        case addressRangeInvalid = "address_range_invalid"
        case unknownPool = "unknown_pool"
        case unknownServer = "unknown_server"
        case serverExists = "server_exists"
        case listenFailed = "listen_failed"
        case stopped = "stopped"
    }

    package let code: Code
    /// What was refused and what is allowed.
    package let message: String
    package let underlying: ReactorError?
    /// All that is wrong with a configuration, each with its place; empty for other codes.
    package private(set) var faults: [ConfigurationFault] = []

    init(_ code: Code, _ message: String, underlying: ReactorError? = nil) {
        self.code = code
        self.message = message
        self.underlying = underlying
    }

    init(_ faults: [ConfigurationFault]) {
        self.init(.configurationInvalid, faults.map(\.description).joined(separator: "; "))
        self.faults = faults
    }

    package var description: String { "\(code.rawValue): \(message)" }
}
