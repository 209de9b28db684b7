// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// The open watches of one loop, in buckets that take turns, so that heartbeats spread over time without a timer a socket.
/// Confined to its loop.
struct SocketTable {
    static let bucketCount = 80

    struct Place: Equatable {
        var bucket: UInt8
        var index: Int32
    }

    private var buckets: [ContiguousArray<any LoopSocket>] = Array(repeating: [], count: bucketCount)
    private var next = 0
    private(set) var count = 0

    mutating func add(_ connection: any LoopSocket) -> Place {
        // One bucket after the other: a storm of connects doesn't become a storm of heartbeats.
        next = (next + 1) % Self.bucketCount
        buckets[next].append(connection)
        count += 1
        return Place(bucket: UInt8(next), index: Int32(buckets[next].count - 1))
    }

    mutating func remove(at place: Place) {
        let (bucket, index) = (Int(place.bucket), Int(place.index))
        buckets[bucket].swapAt(index, buckets[bucket].count - 1)
        buckets[bucket].removeLast()
        if index < buckets[bucket].count { buckets[bucket][index].place = place }
        count -= 1
    }

    /// A copy: connections may leave while it is walked.
    func bucket(_ number: Int) -> ContiguousArray<any LoopSocket> {
        buckets[number % Self.bucketCount]
    }

    /// A copy of everything; for rare events.
    var all: [any LoopSocket] { buckets.flatMap { $0 } }

    /// Some connections, taken evenly from the buckets' ends.
    func some(_ limit: Int, where condition: (any LoopSocket) -> Bool) -> [any LoopSocket] {
        var found: [any LoopSocket] = []
        for bucket in buckets {
            for connection in bucket where condition(connection) {
                guard found.count < limit else { return found }
                found.append(connection)
            }
        }
        return found
    }
}
