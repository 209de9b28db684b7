// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor

/// Real messages whose rows are in PostgreSQL a moment before, inserted by the block: a change under way is then one that Redis has been
/// told of, as it is with the peers, which commit nothing, and PostgreSQL takes little of the core that it shares with the fleet.
/// Confined to the fleet's loop.
final class FeedPublisher: LoadPublisher {
    private struct Channel {
        /// Commands for Redis whose rows are there, oldest first.
        var prepared: [[UInt8]] = []
        /// Announcements that are due as soon as there is a row.
        var due = 0
        /// Rows that are being inserted.
        var underWay = 0
    }

    let stamps = PublishStamps()
    private let redis: LoadConnection
    private let redisPort: UInt16
    private let rows: ChangeRows
    private let loop: Loop
    private var channels: [Channel]
    /// Rows of each channel in a block: so few that a sweep of the gateway's, which finds them early, changes no figure. 0 between runs.
    private var block = 0
    private var isInserting = false
    private var probe: ArrivalProbe?

    init(_ rows: ChangeRows, channels: Int, redisPort: UInt16, on loop: Loop) {
        self.rows = rows
        self.loop = loop
        self.redisPort = redisPort
        redis = LoadConnection(port: redisPort, greeting: [], on: loop)
        self.channels = Array(repeating: Channel(), count: channels)
    }

    // MARK: LoadPublisher

    func beginRun(ahead: Int, isTimed: Bool) {
        stamps.reset()
        do {
            if isTimed { probe = try ArrivalProbe(port: redisPort, channel: ChangeRows.channel, stamps, on: loop) }
        } catch {
            BenchExit.fail("no probe: \(error)")
        }
        block = max(1, ahead)
        refill()
    }

    func publish(channel: Int) {
        if channels[channel].prepared.isEmpty {
            channels[channel].due += 1
        } else {
            redis.write(channels[channel].prepared.removeFirst())
        }
        if channels[channel].prepared.count <= block / 2 { refill() }
    }

    /// What is committed must be announced, or a sweep finds it between the runs.
    func finishRun() -> [Int] {
        probe?.close()
        probe = nil
        block = 0
        return channels.indices.map { index in
            let channel = channels[index]
            for command in channel.prepared { redis.write(command) }
            channels[index] = Channel(due: max(channel.due, channel.underWay), underWay: channel.underWay)
            return channel.prepared.count + max(0, channel.underWay - channel.due)
        }
    }

    // MARK: Rows

    /// One statement for all channels that run low.
    private func refill() {
        guard !isInserting else { return }
        let low = channels.indices.filter { channels[$0].due > 0 || channels[$0].prepared.count <= block / 2 }
        let count = max(block, low.map { channels[$0].due }.max() ?? 0)
        guard count > 0, !low.isEmpty else { return }
        for index in low { channels[index].underWay = count }
        isInserting = true
        let bound = LoopBound(self, loop: loop)
        rows.insert(count, in: low) { result in
            bound.loop.post {
                switch result {
                case .success(let blocks): bound.value.inserted(blocks)
                case .failure(let error): BenchExit.fail("rows were not inserted: \(error)")
                }
            }
        }
    }

    private func inserted(_ blocks: [ChangeRows.Block]) {
        isInserting = false
        for block in blocks {
            let place = block.place
            channels[place].underWay = 0
            let due = min(channels[place].due, block.commands.count)
            channels[place].due -= due
            for command in block.commands[..<due] { redis.write(command) }
            channels[place].prepared += block.commands[due...]
        }
        refill()
    }
}
