// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Algorithms: whose turn it is.
// Flows through: a pool's weights when its snapshot changes; from then on one choice a request.
// Owner: a loop's view of the pool; loops choose on their own and begin at different places.
// Must hold: a choice costs no allocation, and never falls on a server that the caller rules out.

/// Servers in turn by weight, heavy ones interleaved with the others instead of in bursts. Owned by a loop's view of a pool.
package struct SmoothWeightedRoundRobin: Sendable, Equatable {
    private var weights: [Int]
    private var credit: [Int]

    /// `skipping` turns are taken first: loops that start alike would all send their first request to the same server.
    package init(weights: [Int], skipping: Int = 0) {
        self.weights = weights
        credit = Array(repeating: 0, count: weights.count)
        guard weights.contains(where: { $0 > 0 }) else { return }
        for _ in 0..<skipping { _ = next { _ in true } }
    }

    /// The same servers, other weights: nobody's turn is forgotten, and it stays a matter of a few turns what the old weights had left.
    mutating func reweigh(_ weights: [Int]) {
        let scale = max(weights.reduce(0, +), 1)
        self.weights = weights
        for index in credit.indices { credit[index] = min(max(credit[index], -scale), scale) }
    }

    /// Every candidate earns its weight, the richest is chosen and pays for all; nil when there is no candidate with a weight.
    package mutating func next(where isCandidate: (Int) -> Bool) -> Int? {
        var chosen: Int?
        var total = 0
        for index in weights.indices where weights[index] > 0 && isCandidate(index) {
            credit[index] += weights[index]
            total += weights[index]
            if let best = chosen, credit[index] <= credit[best] { continue }
            chosen = index
        }
        if let chosen { credit[chosen] -= total }
        return chosen
    }
}
