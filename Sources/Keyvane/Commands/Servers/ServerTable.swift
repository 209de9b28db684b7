// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Servers in columns, for people.
struct ServerTable {
    private static let headings = ["POOL", "NAME", "ADDRESS", "STATE", "FOR", "WEIGHT", "REQUESTS", "RUNNING", "TUNNELS"]
    private static let stateColumn = 3
    private static let firstNumber = 5

    private let servers: [BalancedServer]

    init(_ servers: [BalancedServer]) {
        self.servers = servers
    }

    func lines(inColour: Bool) -> [String] {
        let rows = servers.map { server in
            [
                server.pool, server.name, server.address, server.state, Self.duration(server.secondsInState), "\(server.weight)",
                "\(server.requests)", "\(server.exchanges)", "\(server.tunnels)",
            ]
        }
        return Columns(Self.headings, numeric: Set(Self.firstNumber..<Self.headings.count)).lines(rows) { cell, row, column in
            inColour && column == Self.stateColumn ? "\(Self.colour(of: servers[row].state))\(cell)\u{1B}[0m" : cell
        }
    }

    /// Green, yellow or red, beside the word.
    private static func colour(of state: String) -> String {
        switch state {
        case "up": "\u{1B}[32m"
        case "down", "ejected": "\u{1B}[31m"
        default: "\u{1B}[33m"
        }
    }

    private static func duration(_ seconds: Int) -> String {
        switch seconds {
        case ..<60: "\(seconds)s"
        case ..<3600: "\(seconds / 60)m\(seconds % 60)s"
        case ..<86400: "\(seconds / 3600)h\(seconds / 60 % 60)m"
        default: "\(seconds / 86400)d\(seconds / 3600 % 24)h"
        }
    }
}
