// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
package import Logging
import Synchronization
import Wire

/// Keeps this process's record in Redis: every two seconds, at once when its state changes or Redis comes back, and no more when it ends.
package final class InstanceRegistry: Sendable {
    private struct Current {
        var record: InstanceRecord
        /// The text that Redis has, as far as we know.
        var written: String?
    }

    private let client: RedisClient
    private let keys: RegistryKeys
    private let connections: @Sendable () -> Int
    private let logger: Logger
    private let wakeups: Wakeups
    private let current: Mutex<Current>

    /// `connections` is asked at every heartbeat, from any thread.
    package init(
        _ client: RedisClient,
        cluster: String,
        instance: InstanceRecord,
        connections: @escaping @Sendable () -> Int = { 0 },
        logger: Logger
    ) {
        self.client = client
        keys = RegistryKeys(cluster: client.configuration.endpoint.keyPrefix(cluster))
        self.connections = connections
        self.logger = logger
        current = Mutex(Current(record: instance))
        wakeups = Wakeups(every: RegistryKeys.heartbeat, on: client.loop)
        client.whenConnected { [wakeups] in wakeups.poke() }
    }

    /// Heartbeats until the task is cancelled, then removes the record. To end before the client does.
    package func run() async {
        var wasFailing = false
        await wakeups.forEach {
            // A Redis that is away has its own line in the log, and a poke when it comes back.
            guard client.isConnected else { return }
            do throws(NotifierError) {
                try await write()
                wasFailing = false
            } catch {
                if !wasFailing { logger.warning("instance not registered", metadata: error.logMetadata) }
                wasFailing = true
            }
        }
        await remove()
    }

    /// Written at once, or as soon as Redis is there.
    package func update(state: InstanceRecord.State) {
        current.withLock { $0.record.state = state }
        wakeups.poke()
    }

    /// From starting to ready, and from nothing else: an instance whose database comes only while it drains stays away.
    package func started() {
        current.withLock { current in
            if current.record.state == .starting { current.record.state = .ready }
        }
        wakeups.poke()
    }

    /// From draining back to ready, where an operator has thought better of it.
    package func resumed() {
        current.withLock { current in
            if current.record.state == .draining { current.record.state = .ready }
        }
        wakeups.poke()
    }

    private func write() async throws(NotifierError) {
        let connections = connections()
        let record = current.withLock { current in
            current.record.connections = connections
            return current.record
        }
        let text = try record.encoded()
        let member = keys.member(record)
        let now = Int64(Date().timeIntervalSince1970 * 1000)
        let expiry = String(RegistryKeys.expiry.components.seconds)
        let oldest = now - RegistryKeys.indexAge.components.seconds * 1000
        let commands = [
            ["SET", keys.record(member), text, "EX", expiry],
            ["ZADD", keys.index, String(now), member],
            ["ZREMRANGEBYSCORE", keys.index, "-inf", String(oldest)],
        ]
        let bytes = commands.reduce(into: [UInt8]()) { $0 += RESPCommand.encode($1) }
        // Before the answer: if it is lost, the text may be there all the same.
        current.withLock { $0.written = text }
        for case .error(let text) in try await client.pipeline(bytes, count: commands.count) {
            throw .reply(text, to: "SET")
        }
    }

    /// Only if the record is still ours: a successor of the same name may have written its own.
    private func remove() async {
        let (record, written) = current.withLock { ($0.record, $0.written) }
        guard let written, client.isConnected else { return }
        let member = keys.member(record)
        let script =
            "if redis.call('GET',KEYS[1])==ARGV[1] then redis.call('ZREM',KEYS[2],ARGV[2]) return redis.call('DEL',KEYS[1]) end return 0"
        do throws(NotifierError) {
            _ = try await client.send("EVAL", script, "2", keys.record(member), keys.index, written, member)
        } catch {
            logger.info("instance left to expire", metadata: error.logMetadata)
        }
    }
}
