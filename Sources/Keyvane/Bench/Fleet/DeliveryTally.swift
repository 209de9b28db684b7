// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Counts the deliveries of one run's changes, and notes when each came if somebody asks for times. Confined to the fleet's loop.
final class DeliveryTally {
    struct Sample {
        let number: UInt32
        /// Microseconds since the tally began.
        let at: UInt32
    }

    private struct Channel {
        let members: Int
        /// How many sockets have the channel's first change of the run, its second, and so on.
        var reached: [Int] = []
        /// Changes that every socket has.
        var complete = 0
        var deliveries = 0

        mutating func arrived(_ index: Int) {
            if index == reached.count { reached.append(0) }
            reached[index] += 1
            while complete < reached.count, reached[complete] == members { complete += 1 }
        }
    }

    let began = BenchClock.microseconds
    private let wantsSamples: Bool
    private var channels: [Channel]
    /// Changes that each socket has.
    private var counts: [Int]
    private(set) var total = 0
    private(set) var samples: [Sample] = []

    /// - Parameter members: sockets of each channel.
    init(members: [Int], wantsSamples: Bool = false) {
        self.wantsSamples = wantsSamples
        channels = members.map { Channel(members: $0) }
        counts = [Int](repeating: 0, count: members.reduce(0, +))
    }

    /// Changes of the channel that have arrived everywhere.
    func complete(_ channel: Int) -> Int { channels[channel].complete }

    /// Changes of the channel that have arrived, on the average of its sockets.
    func average(_ channel: Int) -> Int { channels[channel].deliveries / channels[channel].members }

    func count(_ bytes: UnsafeRawBufferPointer, on socket: Int, of channel: Int) {
        var count = counts[socket]
        let now = wantsSamples ? UInt32(truncatingIfNeeded: BenchClock.microseconds - began) : 0
        Marker.scan(bytes) { number in
            channels[channel].arrived(count)
            count += 1
            if wantsSamples, let number { samples.append(Sample(number: number, at: now)) }
        }
        total += count - counts[socket]
        channels[channel].deliveries += count - counts[socket]
        counts[socket] = count
    }
}

enum BenchClock {
    private static let start = ContinuousClock.now

    /// Steady, since the first look at it.
    static var microseconds: UInt64 {
        let (seconds, attoseconds) = start.duration(to: .now).components
        return UInt64(seconds) * 1_000_000 + UInt64(attoseconds / 1_000_000_000_000)
    }
}
