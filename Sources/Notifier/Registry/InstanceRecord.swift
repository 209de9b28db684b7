// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Foundation

// Which processes of the cluster are alive, where they listen and whether they want work.
// Flows through: each instance's record, written every two seconds and gone six seconds after the last; lists of live ones for balancers.
// Owner: an instance writes its own record only; Redis forgets it when the instance can't.
// Must hold: a change of state is written at once; an instance that left doesn't remove the record of its successor of the same name;
//   a flushed or restarted Redis is filled again within a heartbeat.

/// One running API, gateway or balancer.
package struct InstanceRecord: Hashable, Sendable, Codable {
    package enum Role: String, Sendable, Codable {
        case api, gateway, balancer
    }

    package enum State: String, Sendable, Codable {
        case starting, ready, draining
    }

    package var role: Role
    /// Unique in its role and cluster.
    package var name: String
    /// Where others reach it: `host:port`.
    package var address: String
    package var state: State
    package var version: String
    package var connections: Int
    package var startedAt: Date

    package init(
        role: Role,
        name: String,
        address: String,
        state: State,
        version: String,
        connections: Int = 0,
        startedAt: Date = Date()
    ) {
        self.role = role
        self.name = name
        self.address = address
        self.state = state
        self.version = version
        self.connections = connections
        self.startedAt = startedAt
    }

    func encoded() throws(NotifierError) -> String {
        let encoder = JSONEncoder()
        encoder.dateEncodingStrategy = .iso8601
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return String(decoding: try encoder.encode(self), as: UTF8.self)
        } catch {
            throw NotifierError(.refused, "the instance's record can't be written", underlying: error)
        }
    }

    /// nil for anything that isn't a record, such as one of a later version.
    init?(decoding text: [UInt8]) {
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .iso8601
        guard let record = try? decoder.decode(InstanceRecord.self, from: Data(text)) else { return nil }
        self = record
    }
}
