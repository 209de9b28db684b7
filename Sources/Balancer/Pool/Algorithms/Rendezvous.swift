// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Consistent hashing by the highest random weight: every server draws a number from the key and its own name, and the highest one, by
/// weight, wins. A server that comes takes exactly its share from all others, one that goes leaves its keys to all others, and nothing
/// has to be built when either happens.
package enum Rendezvous {
    /// -w / ln(u): of two servers the one with twice the share wins twice as many keys.
    static func score(_ key: UInt64, _ identity: UInt64, share: Int) -> Double {
        // 53 bits, and never 0 or 1.
        let drawn = (Double(StableHash.combine(key, identity) >> 11) + 0.5) * 0x1p-53
        return -Double(share) / log(drawn)
    }

    /// The winner among the candidates with a share; nil where there is none.
    package static func winner(of key: UInt64, identities: [UInt64], shares: [Int], where isCandidate: (Int) -> Bool) -> Int? {
        var winner: (index: Int, score: Double)?
        for index in shares.indices where shares[index] > 0 && isCandidate(index) {
            let score = score(key, identities[index], share: shares[index])
            if let winner, winner.score >= score { continue }
            winner = (index, score)
        }
        return winner?.index
    }
}
