// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Balancer
package import Notifier
import Reactor

/// The servers that a registry's listings stand for. A value; time comes in as seconds of any clock that only goes on.
package struct InstanceTracker {
    /// How long an instance that has not said good-bye stays after its record is gone: a Redis that was restarted or flushed is full again
    /// within one heartbeat, and whether a silent instance lives is for the checks to say.
    static let patience = 10.0

    private struct Known {
        var record: InstanceRecord
        var endpoint: Endpoint
        var seenAt: Double
    }

    private var known: [String: Known] = [:]

    package init() {}

    /// By pool; pools are called as roles are.
    package mutating func listed(_ records: [InstanceRecord], at now: Double) -> [String: [DiscoveredServer]] {
        var isListed: Set<String> = []
        for record in records where record.role == .api || record.role == .gateway {
            guard let endpoint = Self.reachable(record.address) else { continue }
            let key = "\(record.role.rawValue):\(record.name)"
            isListed.insert(key)
            // One that starts is not sent anything; one that was there and starts again stays, and its checks decide.
            if record.state == .starting {
                if known[key]?.endpoint == endpoint { known[key]?.seenAt = now } else { known[key] = nil }
            } else {
                known[key] = Known(record: record, endpoint: endpoint, seenAt: now)
            }
        }
        known = known.filter { key, instance in
            isListed.contains(key) || instance.record.state != .draining && now - instance.seenAt < Self.patience
        }
        var sets: [String: [DiscoveredServer]] = ["api": [], "gateway": []]
        for (_, instance) in known.sorted(by: { $0.key < $1.key }) {
            let server = DiscoveredServer(
                name: Self.legalName(instance.record.name),
                address: instance.endpoint,
                isDraining: instance.record.state == .draining
            )
            sets[instance.record.role.rawValue]?.append(server)
        }
        return sets
    }

    private static func reachable(_ address: String) -> Endpoint? {
        guard let endpoint = try? Endpoint(parsing: address) else { return nil }
        if case .tcp(let host, let port) = endpoint.kind, host.isEmpty || port == 0 { return nil }
        return endpoint
    }

    /// Names of instances may have any characters, those of servers may not.
    private static func legalName(_ name: String) -> String {
        let legal = name.unicodeScalars.prefix(64).map { scalar -> Character in
            let isLegal =
                scalar.isASCII
                && (scalar.properties.isAlphabetic || scalar.properties.numericType != nil || "._-".unicodeScalars.contains(scalar))
            return isLegal ? Character(scalar) : "-"
        }
        guard let first = legal.first, !"._-".contains(first) else { return String("i" + legal.prefix(63)) }
        return String(legal)
    }
}
