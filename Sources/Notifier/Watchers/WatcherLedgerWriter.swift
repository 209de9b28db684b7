// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
package import Logging
import Synchronization
import Wire

/// Keeps a gateway's part of the ledger in Redis: what changed at once, everything when Redis has lost it, and nothing any more when it ends.
/// All of it is one key, so that a sign of life costs the same however many environments are watched. While Redis is away nobody is asked for
/// anything, so nothing queues up.
package final class WatcherLedgerWriter: Sendable {
    /// The watchers by environment: of all environments, or of those that changed since the last time. One that lost its last watcher
    /// comes as an empty tally, or, among all, not at all.
    package typealias Source = @Sendable (_ everything: Bool) async -> [String: WatcherTally]

    /// At most one write in this time: what changes meanwhile goes together.
    package static let pace = Duration.milliseconds(20)
    /// What changed is written when it changes; what went wrong all the same lasts this long.
    private static let wholeInterval = Duration.seconds(60)
    /// Bytes of one pipeline, well under what may wait for Redis' answers.
    private static let chunk = 256 * 1024

    private let client: RedisClient
    private let keys: WatcherKeys
    private let gateway: String
    /// Of this process alone: neither a predecessor that leaves late nor a successor of the same name touches its records.
    private let member: String
    private let key: String
    private let logger: Logger
    private let wakeups: Wakeups
    /// What Redis has of us isn't known.
    private let needsEverything = Atomic<Bool>(true)

    package init(_ client: RedisClient, cluster: String, gateway: String, logger: Logger) {
        self.client = client
        keys = WatcherKeys(cluster: client.configuration.endpoint.keyPrefix(cluster))
        self.gateway = gateway
        member = "\(gateway):\(String(UInt64.random(in: .min ... .max), radix: 16))"
        key = keys.records(of: member)
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
        var (renewed, whole): (ContinuousClock.Instant?, ContinuousClock.Instant?)
        var wasFailing = false
        await wakeups.forEach {
            // A Redis that is away has its own line in the log, and a poke when it comes back.
            guard client.isConnected else { return }
            let everything = needsEverything.exchange(false, ordering: .relaxed) || Self.isOver(Self.wholeInterval, since: whole)
            let tallies = await source(everything)
            // A timer that comes a little early must not wait for the next one.
            let isRenewal = everything || Self.isOver(RegistryKeys.heartbeat * 3 / 4, since: renewed)
            guard isRenewal || !tallies.isEmpty else { return }
            do throws(NotifierError) {
                let wasThere = try await write(tallies, everything: everything, isRenewal: isRenewal, &written)
                if everything { whole = .now }
                if isRenewal { renewed = .now }
                if !wasThere, !everything {
                    // Flushed, or expired while this process stood still.
                    needsEverything.store(true, ordering: .relaxed)
                    changed()
                }
                wasFailing = false
            } catch {
                needsEverything.store(true, ordering: .relaxed)
                if !wasFailing { logger.warning("watchers not written", metadata: error.logMetadata) }
                wasFailing = true
            }
            // A Redis that is there and refuses would be sent everything with every change.
            let pause = wasFailing && client.isConnected ? RegistryKeys.heartbeat / 2 : Self.pace
            // Cancelled: the last run of this loop.
            try? await Task.sleep(for: pause)
        }
        await remove()
    }

    private static func isOver(_ time: Duration, since moment: ContinuousClock.Instant?) -> Bool {
        moment.map { $0.duration(to: .now) > time } ?? true
    }

    /// - Returns: false where Redis had nothing of ours before.
    private func write(
        _ tallies: [String: WatcherTally],
        everything: Bool,
        isRenewal: Bool,
        _ written: inout Set<String>
    ) async throws(NotifierError) -> Bool {
        // Before anything else is in it, the hash has an end: it goes with its owner, however that ends.
        let renewal = ["EXPIRE", key, String(RegistryKeys.expiry.components.seconds)]
        var commands = [["HSET", key, WatcherKeys.owner, gateway], renewal]
        if isRenewal {
            let now = Int64(Date().timeIntervalSince1970 * 1000)
            let oldest = now - RegistryKeys.indexAge.components.seconds * 1000
            commands.append(["ZADD", keys.index, String(now), member])
            commands.append(["ZREMRANGEBYSCORE", keys.index, "-inf", String(oldest)])
            commands.append(["EXPIRE", keys.index, String(RegistryKeys.indexAge.components.seconds)])
        }
        for (environmentID, tally) in tallies where !tally.isEmpty {
            commands.append(["HSET", key, environmentID, String(decoding: WatcherRecord(gateway: gateway, tally).encoded, as: UTF8.self)])
        }
        let gone = everything ? written.filter { tallies[$0]?.isEmpty ?? true } : Set(tallies.filter(\.value.isEmpty).keys)
        for environmentID in gone { commands.append(["HDEL", key, environmentID]) }
        // It may have taken long.
        if everything { commands.append(renewal) }
        // Before the answers: if they are lost, the records may be there all the same.
        written.formUnion(tallies.lazy.filter { !$0.value.isEmpty }.map(\.key))
        let first = try await send(commands)
        written.subtract(gone)
        return first.integer == 0
    }

    /// In pieces. Gives the first answer.
    @discardableResult
    private func send(_ commands: [[String]]) async throws(NotifierError) -> RESPValue {
        var first: RESPValue?
        var bytes: [UInt8] = []
        var count = 0
        for (index, command) in commands.enumerated() {
            bytes += RESPCommand.encode(command)
            count += 1
            guard bytes.count >= Self.chunk || index + 1 == commands.count else { continue }
            let replies = try await client.pipeline(bytes, count: count)
            for case .error(let text) in replies { throw .reply(text, to: command[0]) }
            first = first ?? replies.first
            bytes = []
            count = 0
        }
        return first ?? .null
    }

    private func remove() async {
        guard client.isConnected else { return }
        do throws(NotifierError) {
            try await send([["ZREM", keys.index, member], ["DEL", key]])
        } catch {
            logger.info("watchers left to expire", metadata: error.logMetadata)
        }
    }
}
