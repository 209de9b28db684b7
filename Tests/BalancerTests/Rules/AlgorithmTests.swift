// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Testing
import Wire

/// Whose turn it is, by values.
@Suite struct AlgorithmTests {
    /// The same numbers in every run.
    private struct Dice: RandomNumberGenerator {
        var state: UInt64 = 42

        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state ^ state >> 29
        }
    }

    private func picker(_ balance: BalanceConfiguration, weights: [Int], skipping: Int = 0) -> Picker {
        var picker = Picker(balance, skipping: skipping)
        picker.adopt(
            shares: weights.map { SlowStart.share(of: $0, 1) },
            identities: weights.indices.map { StableHash.of("server-\($0)") }
        )
        return picker
    }

    /// How often each server is chosen, with nobody staying.
    private func counts(
        _ balance: BalanceConfiguration,
        weights: [Int],
        rounds: Int,
        skipping: Int = 0,
        key: (Int) -> UInt64? = { _ in nil },
        loads: (Int) -> Int = { _ in 0 },
        where isCandidate: (Int) -> Bool = { _ in true }
    ) -> [Int] {
        var picker = picker(balance, weights: weights, skipping: skipping)
        var dice = Dice()
        var counts = weights.map { _ in 0 }
        for round in 0..<rounds {
            if let index = picker.pick(key: key(round), using: &dice, loads: loads, where: isCandidate) { counts[index] += 1 }
        }
        return counts
    }

    @Test(arguments: [0, 1, 3]) func turnsFollowTheWeightsOnEveryLoop(_ loop: Int) {
        let counts = counts(.roundRobin, weights: [10, 5, 1, 0, 256], rounds: 2720, skipping: loop)
        // Exact but for the turns that the loop skipped.
        for (count, expected) in zip(counts, [100, 50, 10, 0, 2560]) { #expect(abs(count - expected) <= loop) }
    }

    @Test func turnsGoOnWhenWeightsChange() {
        var picker = picker(.roundRobin, weights: [1, 1])
        var dice = Dice()
        let identities = (0..<2).map { StableHash.of("server-\($0)") }
        var counts = [0, 0]
        // As in a slow start: the second one's share rises at every step.
        for step in 1...100 {
            picker.adopt(shares: [256, max(1, 256 * step / 100)], identities: identities)
            for _ in 0..<20 {
                if let index = picker.pick(key: nil, using: &dice, loads: { _ in 0 }, where: { _ in true }) { counts[index] += 1 }
            }
        }
        #expect((600...660).contains(counts[1]), "\(counts)")
        counts = [0, 0]
        picker.adopt(shares: [256, 256], identities: identities)
        for _ in 0..<100 {
            if let index = picker.pick(key: nil, using: &dice, loads: { _ in 0 }, where: { _ in true }) { counts[index] += 1 }
        }
        #expect(abs(counts[0] - 50) <= 2, "\(counts)")
    }

    @Test func leastConnectionsGoByLoadPerWeight() {
        let loads = [10, 4, 9, 0]
        // 10/5 = 2, 4/1 = 4, 9/10 = 0.9; weight 0 gets nobody.
        #expect(counts(.leastConnections, weights: [5, 1, 10, 0], rounds: 10, loads: { loads[$0] }) == [0, 0, 10, 0])
        #expect(counts(.leastConnections, weights: [5, 1, 10, 0], rounds: 10, loads: { loads[$0] }, where: { $0 != 2 }) == [10, 0, 0, 0])
        // Idle servers are equally busy: they take turns by weight.
        #expect(counts(.leastConnections, weights: [3, 1], rounds: 40) == [30, 10])
    }

    @Test func liveConnectionsEvenOut() {
        var picker = picker(.leastConnections, weights: [2, 1, 1])
        var dice = Dice()
        // The second one keeps what it had before the others came.
        var loads = [0, 100, 0]
        for _ in 0..<300 {
            let now = loads
            if let index = picker.pick(key: nil, using: &dice, loads: { now[$0] }, where: { _ in true }) { loads[index] += 1 }
        }
        #expect(loads == [200, 100, 100])
    }

    @Test func theLessBusyOfTwo() {
        let counts = counts(.powerOfTwo, weights: [1, 1, 1], rounds: 3000, loads: { [0, 5, 50][$0] })
        // The busiest one is never the less busy of two, the idle one always.
        #expect(counts[2] == 0 && counts[0] > 1800 && counts[1] > 800, "\(counts)")
        #expect(self.counts(.powerOfTwo, weights: [1, 1], rounds: 10, where: { $0 == 1 }) == [0, 10])
    }

    @Test func randomFollowsTheWeights() {
        let counts = counts(.random, weights: [6, 3, 1, 0], rounds: 100_000)
        for (count, expected) in zip(counts, [60_000, 30_000, 10_000, 0]) { #expect(abs(count - expected) < 1000, "\(counts)") }
    }

    @Test func theFirstOneThatMay() {
        #expect(counts(.first, weights: [0, 1, 1], rounds: 5) == [0, 5, 0])
        #expect(counts(.first, weights: [1, 1, 1], rounds: 5, where: { $0 == 2 }) == [0, 0, 5])
    }

    @Test(arguments: [
        BalanceConfiguration.roundRobin, .leastConnections, .powerOfTwo, .random, .first, .hash(.path, boundedLoad: nil),
        .hash(.path, boundedLoad: 1.25),
    ])
    func whoIsRuledOutIsNeverChosen(_ balance: BalanceConfiguration) {
        for isKeyed in [true, false] {
            let key: (Int) -> UInt64? = { isKeyed ? StableHash.of("\($0)") : nil }
            let chosen = counts(balance, weights: [1, 2, 3, 0], rounds: 500, key: key, where: { $0 != 1 })
            #expect(chosen[1] == 0 && chosen[3] == 0 && chosen.reduce(0, +) == 500)
        }
        #expect(counts(balance, weights: [1, 2], rounds: 5, key: { _ in 1 }, where: { _ in false }) == [0, 0])
        #expect(counts(balance, weights: [], rounds: 5, key: { _ in 1 }) == [])
        #expect(counts(balance, weights: [0, 0], rounds: 5, key: { _ in 1 }) == [0, 0])
    }

    // MARK: Hashes

    private func owners(_ servers: [String], weights: [Int]? = nil, keys: Int) -> [Int?] {
        let identities = servers.map { StableHash.of($0) }
        let shares = (weights ?? servers.map { _ in 1 }).map { $0 * SlowStart.unit }
        return (0..<keys).map { Rendezvous.winner(of: StableHash.of("key-\($0)"), identities: identities, shares: shares) { _ in true } }
    }

    @Test(arguments: [2, 3, 10, 50]) func oneMoreServerTakesItsShareOnly(_ count: Int) {
        let servers = (0..<count).map { "gateway-\($0)" }
        let keys = 20_000
        let (before, after) = (owners(servers, keys: keys), owners(servers + ["gateway-new"], keys: keys))
        let moved = zip(before, after).count { $0 != $1 }
        #expect(Double(moved) / Double(keys) <= 1 / Double(count + 1) + 0.05, "\(moved)")
        // Nobody moves but to the new one.
        #expect(zip(before, after).allSatisfy { $0 == $1 || $1 == count })
        // Its order in the configuration is of no meaning.
        let other = owners(["gateway-new"] + servers, keys: keys)
        #expect(zip(after, other).allSatisfy { $0 == count && $1 == 0 || $0.map { $0 + 1 } == $1 })
    }

    @Test func hashesFollowTheWeights() {
        let owners = owners(["a", "b", "c", "d"], weights: [1, 2, 5, 0], keys: 80_000)
        let counts = (0..<4).map { server in owners.count { $0 == server } }
        for (count, expected) in zip(counts, [10_000, 20_000, 50_000, 0]) { #expect(abs(count - expected) < 800, "\(counts)") }
    }

    @Test func boundedLoadsSpillOver() {
        var picker = picker(.hash(.path, boundedLoad: 1.25), weights: [1, 1, 1, 1])
        var dice = Dice()
        var loads = [0, 0, 0, 0]
        // Everybody wants the same thing, and nobody leaves.
        for _ in 0..<400 {
            let now = loads
            if let index = picker.pick(key: 99, using: &dice, loads: { now[$0] }, where: { _ in true }) { loads[index] += 1 }
        }
        #expect(loads.reduce(0, +) == 400 && loads.allSatisfy { $0 <= 125 } && loads.max() == 125, "\(loads)")
        // Without a bound one server has them all; without a key the least busy one has the next.
        #expect(counts(.hash(.path, boundedLoad: nil), weights: [1, 1, 1], rounds: 50, key: { _ in 99 }).contains(50))
        #expect(counts(.hash(.path, boundedLoad: nil), weights: [1, 1], rounds: 10, loads: { [3, 1][$0] }) == [0, 10])
    }

    @Test func whatIsHashed() throws {
        let text =
            "GET /a%20b/c+d;s=1?x=1%2B2&y=&x=3 HTTP/1.1\r\nHost: h\r\nX-Key: one\r\nx-key: two\r\nEmpty:\r\nCookie: a=1; b=\"z z\"\r\n\r\n"
        let bytes = Array(text.utf8)
        var parser = RequestHeadParser()
        guard case .complete = try parser.parse(bytes.span) else { throw BalancerTestFault("head") }
        let head = parser.head
        func value(_ key: HashKey, _ address: String = "10.1.2.3") -> UInt64? { key.value(of: head, in: bytes.span) { address } }
        #expect(value(.uri) == StableHash.of("/a b/c+d;s=1?x=1+2&y=&x=3"))
        #expect(value(.path) == StableHash.of("/a b/c+d;s=1"))
        #expect(value(.query("x")) == StableHash.of("1+2"))
        #expect(value(.query("y")) == nil && value(.query("z")) == nil)
        #expect(value(.header("x-KEY")) == StableHash.of("one"))
        #expect(value(.header("Empty")) == nil && value(.header("None")) == nil)
        #expect(value(.cookie("a")) == StableHash.of("1") && value(.cookie("A")) == nil)
        #expect(value(.ip) == StableHash.of("10.1.2.3") && value(.ip, "::ffff:10.1.2.3") == value(.ip))
        #expect(value(.ip, "10.1.2.4") != value(.ip))
        #expect(value(.ip, "2001:db8:0:1::1") == value(.ip, "2001:db8:0:1:ffff::2"))
        #expect(value(.ip, "2001:db8:0:1::1") != value(.ip, "2001:db8:0:2::1"))
        #expect(value(.ip, "unknown") == nil)
        // The same in every process, for ever.
        #expect(StableHash.of("keyvane") == 0x49A3_9531_E2B9_2767)
    }
}

struct BalancerTestFault: Error {
    let what: String

    init(_ what: String) {
        self.what = what
    }
}
