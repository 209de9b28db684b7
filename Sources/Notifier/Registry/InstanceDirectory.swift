// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Wire

/// Lists the live instances of a cluster.
package struct InstanceDirectory: Sendable {
    private let client: RedisClient
    private let keys: RegistryKeys

    package init(_ client: RedisClient, cluster: String) {
        self.client = client
        keys = RegistryKeys(cluster: client.configuration.endpoint.keyPrefix(cluster))
    }

    /// By role and name. Records that can't be read are left out.
    package func instances() async throws(NotifierError) -> [InstanceRecord] {
        let members = try await client.send("ZRANGE", keys.index, "0", "-1").array ?? []
        let recordKeys = members.compactMap { $0.string.map(keys.record) }
        guard !recordKeys.isEmpty else { return [] }
        let replies = try await client.pipeline(RESPCommand.encode(["MGET"] + recordKeys), count: 1)
        let values = replies.first?.array ?? []
        let records = values.compactMap { value -> InstanceRecord? in
            guard case .bulk(let text) = value else { return nil }
            return InstanceRecord(decoding: text)
        }
        return records.sorted { ($0.role.rawValue, $0.name) < ($1.role.rawValue, $1.name) }
    }
}
