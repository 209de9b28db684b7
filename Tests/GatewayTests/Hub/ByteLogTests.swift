// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Gateway
import Store
import Testing

@Suite struct ByteLogTests {
    private func cursor(_ revision: Int) -> Cursor { Cursor(revision: Int64(revision), mark: UInt32(revision)) }

    private func bytes(_ log: ByteLog, from position: Int) -> [UInt8] {
        log.withBytes(from: position) { span in span.withUnsafeBufferPointer { [UInt8]($0) } }
    }

    @Test func keepsFramesAndTheirPlaces() {
        var log = ByteLog(cursor(5))
        #expect(log.isEmpty)
        #expect(log.cursor(sentBefore: 0) == cursor(5))
        log.append([1, 2, 3], leadingTo: cursor(6), changes: 1)
        log.append([4, 5], leadingTo: cursor(9), changes: 3)
        #expect(log.end == 5)
        #expect(bytes(log, from: 0) == [1, 2, 3, 4, 5])
        #expect(bytes(log, from: 4) == [5])
        #expect([0, 1, 2, 3, 4, 5].map(log.isBoundary) == [true, false, false, true, false, true])
        #expect([0, 1, 2, 3, 4, 5].map(log.frameEnd) == [0, 3, 3, 3, 5, 5])
        let sent = [0, 2, 3, 4, 5].map { log.cursor(sentBefore: $0).revision }
        #expect(sent == [5, 5, 6, 6, 9])
        #expect(log.changes(from: 0, to: 5) == 4)
        #expect(log.changes(from: 3, to: 5) == 3)
        #expect(log.changes(from: 1, to: 2) == 0)
    }

    @Test func dropsWholeFramesOnly() {
        var log = ByteLog(cursor(0))
        for revision in 1...4 { log.append(Array(repeating: UInt8(revision), count: 10), leadingTo: cursor(revision)) }
        log.drop(before: 25)
        #expect(log.start == 20)
        #expect(log.cursor(sentBefore: 20) == cursor(2))
        #expect(bytes(log, from: 20).count == 20)
        log.drop(before: 40)
        #expect(log.isEmpty)
        #expect(log.start == 40)
        #expect(log.end == 40)
        #expect(log.cursor(sentBefore: 40) == cursor(4))
        log.append([9], leadingTo: cursor(5))
        #expect(bytes(log, from: 40) == [9])
    }

    @Test func anIdleLogFollowsTheHead() {
        var log = ByteLog(cursor(1))
        log.moved(to: cursor(8))
        #expect(log.cursor(sentBefore: log.end) == cursor(8))
        log.append([1], leadingTo: cursor(9))
        log.moved(to: cursor(20))
        #expect(log.cursor(sentBefore: log.end) == cursor(9))
    }

    /// Against a plain array of all bytes ever appended.
    @Test(arguments: 0..<10)
    func matchesAPlainArray(seed: UInt64) {
        var random = SplitMix(state: seed)
        var log = ByteLog(cursor(0))
        var all: [UInt8] = []
        var ends = [0]
        for revision in 1...150 {
            let size = Int.random(in: 1...300, using: &random)
            let frame = (0..<size).map { _ in UInt8.random(in: 0...255, using: &random) }
            log.append(frame, leadingTo: cursor(revision))
            all += frame
            ends.append(all.count)
            if Int.random(in: 0..<3, using: &random) == 0 {
                let position = Int.random(in: log.start...log.end, using: &random)
                log.drop(before: position)
                let expected = ends.last { $0 <= position }
                #expect(log.start == expected)
            }
            #expect(log.end == all.count)
            let position = Int.random(in: log.start...log.end, using: &random)
            #expect(bytes(log, from: position) == Array(all[position...]))
            #expect(log.isBoundary(position) == ends.contains(position))
            let frameEnd = ends.first { $0 >= position }
            #expect(log.frameEnd(position) == frameEnd)
            let sent = ends.lastIndex { $0 <= position }
            #expect(log.cursor(sentBefore: position).revision == Int64(sent ?? -1))
        }
    }
}

/// Repeatable randomness.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
