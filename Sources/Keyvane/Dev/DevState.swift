// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// What `--state-file` holds: enough for a script to find, and to break, every part of the cluster.
struct DevState: Codable, Sendable {
    struct Instance: Codable, Sendable {
        let name: String
        /// `host:port`.
        let address: String
        var pid: Int32
    }

    struct Backend: Codable, Sendable {
        let url: String
        /// Nil for a server that dev did not start.
        var pid: Int32?
    }

    struct Balancer: Codable, Sendable {
        var pid: Int32
    }

    let url: String
    let token: String
    let console: String
    let admin: String
    var balancer: Balancer
    var apis: [Instance]
    var gateways: [Instance]
    var postgres: Backend
    var redis: Backend

    func write(to path: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        // It holds the root token and both passwords.
        try DataFolder.write(encoder.encode(self), to: path, mode: 0o600)
    }
}
