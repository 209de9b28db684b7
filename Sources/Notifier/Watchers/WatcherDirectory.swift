// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Synchronization
import Wire

/// Reads the ledger of all gateways.
package final class WatcherDirectory: Sendable {
    /// A Redis that came back may be an empty one: this long it takes every gateway to reach it again and to write what it knows.
    package static let refillTime = Duration.seconds(3)

    private struct Connections {
        var count: Int
        var last = ContinuousClock.now
    }

    private let client: RedisClient
    private let keys: WatcherKeys
    private let connections: Mutex<Connections>

    /// To be made with its client, not later.
    package init(_ client: RedisClient, cluster: String) {
        self.client = client
        keys = WatcherKeys(cluster: client.configuration.endpoint.keyPrefix(cluster))
        connections = Mutex(Connections(count: client.isConnected ? 1 : 0))
        client.whenConnected { [weak self] in
            self?.connections.withLock { $0 = Connections(count: $0.count + 1) }
        }
    }

    /// How often Redis was reached: when it changes, what was read before and after may be two ledgers.
    package var generation: Int { connections.withLock { $0.count } }

    /// False for a while after Redis came back: watchers may be there of which it doesn't know yet.
    package var isComplete: Bool {
        connections.withLock { $0.count <= 1 || $0.last.duration(to: .now) > Self.refillTime }
    }

    /// - Parameter environmentID: lower-case UUID.
    package func watchers(of environmentID: String) async throws(NotifierError) -> WatcherCounts {
        let members = try await client.send("ZRANGE", keys.index, "0", "-1").array ?? []
        let names = members.compactMap(\.string)
        guard !names.isEmpty else { return WatcherCounts([]) }
        var commands: [UInt8] = []
        for name in names { commands += RESPCommand.encode(["HGET", keys.records(of: name), environmentID]) }
        var records: [WatcherRecord] = []
        for reply in try await client.pipeline(commands, count: names.count) {
            switch reply {
            case .bulk(let text): if let record = WatcherRecord(decoding: text) { records.append(record) }
            // Nobody watches it there, or nobody is there any more.
            case .null: break
            // An error is not the news that nobody watches.
            case .error(let text): throw .reply(text, to: "HGET")
            default: throw NotifierError(.protocolViolated, "Redis answered HGET with something else than a text")
            }
        }
        return WatcherCounts(records)
    }
}
