// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// SplitMix64: the same seed gives the same choices again.
struct SeededGenerator: RandomNumberGenerator, Sendable {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed }

    /// One generator a thread of work, so that what one draws doesn't depend on when the others do.
    init(_ seed: UInt64, stream: Int) {
        var own = SeededGenerator(seed)
        let mixed = own.next()
        state = mixed &+ UInt64(truncatingIfNeeded: stream) &* 0xd1b5_4a32_d192_ed03
    }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    /// True `percent` times of a hundred.
    mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &self) < percent }

    mutating func duration(_ range: ClosedRange<Int>) -> Duration { .milliseconds(Int.random(in: range, using: &self)) }

    /// Letters that don't compress to nothing.
    mutating func text(_ count: Int) -> String {
        String(decoding: (0..<count).map { _ in UInt8(ascii: "a") + UInt8(next() >> 60) }, as: UTF8.self)
    }
}
