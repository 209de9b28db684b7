// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Wire

/// A request head that came in pieces: its bytes and how far they were read. Exists only while a head is incomplete; owned by its client.
final class PartialHead {
    private(set) var bytes: [UInt8]
    private(set) var parser: RequestHeadParser
    /// Of the monotonic clock.
    let began = MonotonicClock.nanoseconds()

    /// `parser` has read `bytes` and wants more.
    init(_ bytes: Span<UInt8>, parser: RequestHeadParser) {
        self.bytes = bytes.array()
        self.parser = parser
    }

    func parse(_ more: Span<UInt8>) throws(HTTPFault) -> HeadResult {
        bytes.append(more)
        let held = bytes
        return try parser.parse(held.span)
    }
}
