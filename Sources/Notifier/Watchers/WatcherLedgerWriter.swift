// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
package import Logging
import Synchronization
import Wire

/// Keeps a gateway's part of the ledger in Redis: what changed at once, everything every two seconds and when Redis comes back, and nothing
/// any more when it ends. While Redis is away nobody is asked for anything, so nothing queues up.
package final class WatcherLedgerWriter: Sendable {
    /// The watchers by environment: of all environments, or of those that changed since the last time. One that lost its last watcher
    /// comes as an empty tally, or, among all, not at all.
    package typealias Source = @Sendable (_ everything: Bool) async -> [String: WatcherTally]

    /// At most one write in this time: what changes meanwhile goes together.
    package static let pace = Duration.milliseconds(20)
    /// Bytes of one pipeline, well under what may wait for Redis' answers.
    private static let chunk = 256 * 1024

    private let client: RedisClient
    private let keys: WatcherKeys
    private let gateway: String
    /// Of this process alone: neither a predecessor that leaves late nor a successor of the same name touches its records.
    private let member: String
    private let logger: Logger
    private let wakeups: Wakeups
    /// What Redis has of us isn't known.
    private let needsEverything = Atomic<Bool>(true)

    package init(_ client: RedisClient, cluster: String, gateway: String, logger: Logger) {
        self.client = client
        keys = WatcherKeys(cluster: cluster)
        self.gateway = gateway
        member = "\(gateway):\(String(UInt64.random(in: .min ... .max), radix: 16))"
        self.logger = logger
        wakeups = Wakeups(every: RegistryKeys.heartbeat, on: client.loop)
        client.whenConnected { [weak self] in
            self?.needsEverything.store(true, ordering: .relaxed)
            self?.changed()
        }
    }

    /// Something changed. From any thread, never blocks.
    package func changed() {
        wakeups.poke()
    }

    /// Writes until the task is cancelled, then removes what it wrote. To end before the client does; to be called once.
    package func run(_ source: Source) async {
        // Environments of which Redis has, or may have, a record of ours.
        var written: Set<String> = []
        var renewed: ContinuousClock.Instant?
        var wasFailing = false
        await wakeups.forEach {
            // A Redis that is away has its own line in the log, and a poke when it comes back.
            guard client.isConnected else { return }
            // A timer that comes a little early must not wait for the next one.
            let isDue = renewed.map { $0.duration(to: .now) > RegistryKeys.heartbeat * 3 / 4 } ?? true
            let everything = needsEverything.exchange(false, ordering: .relaxed) || isDue
            let tallies = await source(everything)
            do throws(NotifierError) {
                try await write(tallies, everything: everything, &written)
                if everything { renewed = .now }
                wasFailing = false
            } catch {
                needsEverything.store(true, ordering: .relaxed)
                if !wasFailing { logger.warning("watchers not written", metadata: error.logMetadata) }
                wasFailing = true
            }
            // Cancelled: the last run of this loop.
            try? await Task.sleep(for: Self.pace)
        }
        await remove(written)
    }

    private func write(
        _ tallies: [String: WatcherTally],
        everything: Bool,
        _ written: inout Set<String>
    ) async throws(NotifierError) {
        var commands: [[String]] = []
        if everything {
            let now = Int64(Date().timeIntervalSince1970 * 1000)
            let oldest = now - RegistryKeys.indexAge.components.seconds * 1000
            commands.append(["ZADD", keys.index, String(now), member])
            commands.append(["ZREMRANGEBYSCORE", keys.index, "-inf", String(oldest)])
            commands.append(["EXPIRE", keys.index, String(RegistryKeys.indexAge.components.seconds)])
        }
        let expiry = String(RegistryKeys.expiry.components.seconds)
        for (environmentID, tally) in tallies where !tally.isEmpty {
            let record = String(decoding: WatcherRecord(gateway: gateway, tally).encoded, as: UTF8.self)
            commands.append(["SET", keys.record(environmentID, member), record, "EX", expiry])
        }
        let gone = everything ? written.filter { tallies[$0]?.isEmpty ?? true } : Set(tallies.filter(\.value.isEmpty).keys)
        for environmentID in gone { commands.append(["DEL", keys.record(environmentID, member)]) }
        // Before the answers: if they are lost, the records may be there all the same.
        written.formUnion(tallies.filter { !$0.value.isEmpty }.keys)
        try await send(commands)
        written.subtract(gone)
    }

    private func send(_ commands: [[String]]) async throws(NotifierError) {
        var bytes: [UInt8] = []
        var count = 0
        for (index, command) in commands.enumerated() {
            bytes += RESPCommand.encode(command)
            count += 1
            guard bytes.count >= Self.chunk || index + 1 == commands.count else { continue }
            for case .error(let text) in try await client.pipeline(bytes, count: count) { throw .reply(text, to: command[0]) }
            bytes = []
            count = 0
        }
    }

    private func remove(_ written: Set<String>) async {
        guard client.isConnected else { return }
        do throws(NotifierError) {
            try await send([["ZREM", keys.index, member]] + written.map { ["DEL", keys.record($0, member)] })
        } catch {
            logger.info("watchers left to expire", metadata: error.logMetadata)
        }
    }
}
