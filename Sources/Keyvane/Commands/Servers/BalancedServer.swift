// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// A server as the admin listener tells of it.
struct BalancedServer: Codable, Sendable {
    struct DrainProgress: Codable, Sendable {
        let exchangesLeft: Int
        let tunnelsLeft: Int
        let secondsToDeadline: Int
    }

    let pool: String
    let name: String
    let address: String
    let state: String
    let administrativeState: String
    let secondsInState: Int
    let reason: String
    let weight: Int
    let exchanges: Int
    let tunnels: Int
    let requests: Int
    let drain: DrainProgress?

    var fullName: String { "\(pool)/\(name)" }

    /// Nothing goes to it any more, and nobody is left.
    var isDrained: Bool {
        guard let drain else { return false }
        return drain.secondsToDeadline == 0 && drain.exchangesLeft == 0 && drain.tunnelsLeft == 0
    }

    var remaining: String {
        let left = "\(exchanges) requests and \(tunnels) tunnels left"
        guard let drain, drain.secondsToDeadline > 0 else { return left }
        return "\(left), pinned clients for \(drain.secondsToDeadline) s more"
    }

    /// By `NAME`, where one pool only has it, or `POOL/NAME`.
    static func find(_ text: String, among servers: [BalancedServer]) throws -> BalancedServer {
        let found = servers.filter { $0.name == text || $0.fullName == text }
        switch found.count {
        case 1:
            return found[0]
        case 0:
            let names = servers.map(\.fullName).joined(separator: ", ")
            throw RunError("there is no server '\(text)'; \(names.isEmpty ? "the balancer has none" : "there is \(names)")")
        default:
            throw RunError("more than one pool has a server '\(text)': write \(found.map(\.fullName).joined(separator: " or "))")
        }
    }
}
