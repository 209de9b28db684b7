// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Gateway
import Store
import Testing

/// Whatever becomes of the messages, the feed publishes the log: every change once, in order, whole transactions only.
@Suite struct FeedModelTests {
    /// Ends with a sweep, as every feed's life does, and compares with the log.
    private func check(_ run: inout FeedRun, _ log: FeedLog, from start: Int64, _ what: @autoclosure () -> String) {
        run.pass(50, log)
        run.compare(log)
        run.pass(50, log)
        let expected = log.changes.filter { $0.revision > start }
        #expect(run.published == expected, "\(what())")
        #expect(run.machine.content.entries == log.entries, "\(what())")
        #expect(run.machine.head == log.head, "\(what())")
        #expect(run.snapshots == 0, "\(what())")
        for batch in run.batches {
            #expect(batch.first?.revision == batch.first?.first, "\(what())")
            #expect(batch.last?.revision == batch.last?.last, "\(what())")
        }
    }

    /// Every order of the messages of 1 + 2 + 1 changes, each with every choice of lost ones, with and without time between them.
    @Test func everyInterleavingOfAFewMessages() {
        var log = FeedLog()
        log.commit([("A", "0")])
        let start = log
        log.commit([("A", "1")])
        log.commit([("B", "1"), ("A", nil)])
        log.commit([("C", "1")])
        let messages = Array(log.changes.dropFirst())
        var cases = 0
        for order in Self.permutations(Array(messages.indices)) {
            for lost in 0..<16 {
                for pause: UInt64 in [0, 12, 25] {
                    var run = FeedRun(startingFrom: start)
                    for index in order where lost & (1 << index) == 0 {
                        run.receive(messages[index], log)
                        run.pass(pause, log)
                    }
                    check(&run, log, from: 1, "order \(order), lost \(lost), pause \(pause)")
                    cases += 1
                }
            }
        }
        #expect(cases == 24 * 16 * 3)
    }

    private static func permutations(_ items: [Int]) -> [[Int]] {
        guard let first = items.first else { return [[]] }
        return permutations(Array(items.dropFirst())).flatMap { rest in
            (0...rest.count).map { place in
                var order = rest
                order.insert(first, at: place)
                return order
            }
        }
    }

    /// Commits go on while messages are lost, doubled, delayed and reordered, reads fail and sweeps come at any time.
    @Test(arguments: 0..<200)
    func randomLives(seed: Int) {
        var random = SplitMix(state: UInt64(seed) &* 7919 &+ 17)
        var log = FeedLog(seed: UInt32(seed) + 1)
        log.commit([("A", "0"), ("B", "0")])
        var run = FeedRun(startingFrom: log)
        let start = log.head.revision
        var channel: [(due: UInt64, message: Change?, last: Int64)] = []
        for _ in 0..<120 {
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<5:
                let count = Bool.random(using: &random) ? 1 : Int.random(in: 1...6, using: &random)
                let edits = (0..<count).map { _ in
                    (
                        "K\(Int.random(in: 0..<8, using: &random))",
                        Int.random(in: 0..<4, using: &random) == 0 ? nil : "\(random.next() % 1000)"
                    )
                }
                let made = log.commit(edits)
                if Int.random(in: 0..<8, using: &random) == 0 {
                    channel.append((run.now + UInt64.random(in: 0...40, using: &random), nil, made[made.count - 1].revision))
                } else {
                    for change in made {
                        for _ in 0..<[0, 1, 1, 1, 1, 1, 2][Int.random(in: 0..<7, using: &random)] {
                            channel.append((run.now + UInt64.random(in: 0...40, using: &random), change, 0))
                        }
                    }
                }
            case 5..<9:
                run.now += UInt64.random(in: 0...15, using: &random)
                let due = channel.indices.filter { channel[$0].due <= run.now }.shuffled(using: &random)
                for index in due {
                    if let message = channel[index].message { run.receive(message, log) } else { run.announce(channel[index].last, log) }
                }
                channel = channel.indices.filter { !due.contains($0) }.map { channel[$0] }
                if let gap = run.machine.gapDue, gap <= run.now, Bool.random(using: &random) {
                    run.machine.gapReadStarted()
                    run.machine.gapReadFailed(retryAt: run.now + 7)
                }
                run.pass(0, log, limit: Int.random(in: 1...8, using: &random))
            default:
                run.compare(log)
            }
            let due = log.changes.filter { $0.revision > start && $0.revision <= run.machine.head.revision }
            #expect(run.published == due)
        }
        check(&run, log, from: start, "seed \(seed)")
    }

    /// The database is restored now and then: the feed ends up with what it has, by a snapshot where it must.
    @Test(arguments: 0..<100)
    func randomRestores(seed: Int) {
        var random = SplitMix(state: UInt64(seed) &* 104_729 &+ 3)
        var log = FeedLog(seed: UInt32(seed) + 1)
        log.commit([("A", "0")])
        var run = FeedRun(startingFrom: log)
        for round in 0..<40 {
            if Int.random(in: 0..<10, using: &random) == 0 {
                log.restore(to: Int64.random(in: 0...log.head.revision, using: &random), newSeed: UInt32(round) &* 31 &+ 7)
                // A restore takes PostgreSQL away: sweeps happen before messages do.
                run.compare(log)
                run.pass(50, log)
            }
            for change in log.commit([("K\(round % 5)", "\(round)"), ("L", "\(round)")]) where Bool.random(using: &random) {
                run.receive(change, log)
            }
            run.pass(UInt64.random(in: 0...30, using: &random), log)
            if run.wantsComparison { run.compare(log) }
        }
        run.compare(log)
        run.pass(50, log)
        #expect(run.machine.content.entries == log.entries)
        #expect(run.machine.head == log.head)
    }
}
