// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// A body of known length: counts down.
package struct LengthBody: Sendable, Equatable {
    package private(set) var remaining: UInt64

    package init(_ length: UInt64) {
        remaining = length
    }

    package mutating func parse(_ bytes: Span<UInt8>, content: (Range<Int>) -> Void) -> BodyProgress {
        let taken = Int(min(UInt64(bytes.count), remaining))
        if taken > 0 { content(0..<taken) }
        remaining -= UInt64(taken)
        return remaining == 0 ? .complete(consumed: taken) : .needsMore
    }
}
