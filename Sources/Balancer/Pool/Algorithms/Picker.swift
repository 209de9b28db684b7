// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// A pool's algorithm, with what it remembers from one choice to the next. Owned by a loop's view of the pool.
package struct Picker: Sendable {
    private let balance: BalanceConfiguration
    private let skipping: Int
    private var shares: [Int] = []
    private var identities: [UInt64] = []
    private var turns = SmoothWeightedRoundRobin(weights: [])

    /// Loops begin at different places: see `SmoothWeightedRoundRobin`.
    package init(_ balance: BalanceConfiguration, skipping: Int) {
        self.balance = balance
        self.skipping = skipping
    }

    /// Turns go on where they were as long as the servers are the same.
    package mutating func adopt(shares: [Int], identities: [UInt64]) {
        if identities == self.identities {
            if shares != self.shares { turns.reweigh(shares) }
        } else {
            turns = SmoothWeightedRoundRobin(weights: shares, skipping: skipping)
        }
        self.shares = shares
        self.identities = identities
    }

    /// nil where no candidate has a share. `key` is what a hash goes by; `loads` counts a server's exchanges and tunnels on all loops.
    package mutating func pick(
        key: UInt64?,
        using generator: inout some RandomNumberGenerator,
        loads: (Int) -> Int,
        where isCandidate: (Int) -> Bool
    ) -> Int? {
        switch balance {
        case .roundRobin:
            turns.next(where: isCandidate)
        case .leastConnections:
            leastBusy(loads, isCandidate)
        case .powerOfTwo:
            lessBusyOfTwo(using: &generator, loads, isCandidate)
        case .hash(_, let bound):
            if let key { hashed(key, bound: bound, loads, isCandidate) } else { leastBusy(loads, isCandidate) }
        case .random:
            drawn(using: &generator, isCandidate)
        case .first:
            shares.indices.first { shares[$0] > 0 && isCandidate($0) }
        }
    }

    /// By load for each share; in turn where several are equally busy, as idle ones are.
    private mutating func leastBusy(_ loads: (Int) -> Int, _ isCandidate: (Int) -> Bool) -> Int? {
        var best: (index: Int, load: Int)?
        for index in shares.indices where shares[index] > 0 && isCandidate(index) {
            let load = loads(index)
            if let best, best.load * shares[index] <= load * shares[best.index] { continue }
            best = (index, load)
        }
        guard let best else { return nil }
        let shares = shares
        // Other loops move the loads meanwhile: what was the least may have no equal any more, not even itself.
        return turns.next { isCandidate($0) && loads($0) * shares[best.index] <= best.load * shares[$0] } ?? best.index
    }

    private func lessBusyOfTwo(
        using generator: inout some RandomNumberGenerator,
        _ loads: (Int) -> Int,
        _ isCandidate: (Int) -> Bool
    ) -> Int? {
        guard let one = drawn(using: &generator, isCandidate) else { return nil }
        guard let other = drawn(using: &generator, { $0 != one && isCandidate($0) }) else { return one }
        return loads(other) * shares[one] < loads(one) * shares[other] ? other : one
    }

    /// By share.
    private func drawn(using generator: inout some RandomNumberGenerator, _ isCandidate: (Int) -> Bool) -> Int? {
        var total = 0
        for index in shares.indices where isCandidate(index) { total += shares[index] }
        guard total > 0 else { return nil }
        var rest = Int.random(in: 0..<total, using: &generator)
        for index in shares.indices where isCandidate(index) {
            rest -= shares[index]
            if rest < 0 { return index }
        }
        return nil
    }

    /// A server that has its bound already leaves the key to the next best one (consistent hashing with bounded loads).
    private func hashed(_ key: UInt64, bound: Double?, _ loads: (Int) -> Int, _ isCandidate: (Int) -> Bool) -> Int? {
        let any = Rendezvous.winner(of: key, identities: identities, shares: shares, where: isCandidate)
        guard let bound, any != nil else { return any }
        var load = 1
        var share = 0
        for index in shares.indices where shares[index] > 0 && isCandidate(index) {
            load += loads(index)
            share += shares[index]
        }
        let each = bound * Double(load) / Double(share)
        let shares = shares
        let bounded = Rendezvous.winner(of: key, identities: identities, shares: shares) { index in
            isCandidate(index) && Double(loads(index) + 1) <= (each * Double(shares[index])).rounded(.up)
        }
        return bounded ?? any
    }
}
