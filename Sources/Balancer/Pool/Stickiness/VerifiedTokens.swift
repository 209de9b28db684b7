// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// Cookies that were verified a while ago, so that a client's next request costs no MAC. Confined to its loop.
///
/// A cookie is known only by its whole text and the very signer that verified it; what it says of times and servers is judged anew each
/// time. Two cookies may share a slot: then the newer one stays.
package final class VerifiedTokens {
    /// Tells signers apart, also those with equal keys: a new configuration begins with nothing verified.
    package struct Signer: Equatable, Sendable {
        private static let last = Atomic<UInt64>(0)
        private let number: UInt64

        init() { number = Self.last.add(1, ordering: .relaxed).newValue }
    }

    private struct Entry {
        let signer: Signer
        let token: StickyToken
        let key: Int
    }

    /// A power of two; 90 KiB a loop, once it has seen a cookie.
    private static let slots = 1024
    private var entries: [Entry?] = []
    private var texts: [UInt8] = []

    package init() {}

    func known(_ text: Span<UInt8>, to signer: Signer) -> (token: StickyToken, key: Int)? {
        guard !entries.isEmpty else { return nil }
        let slot = Self.slot(of: text)
        guard let entry = entries[slot], entry.signer == signer else { return nil }
        // Takes the same time wherever the first difference is: nobody feels his way to another client's cookie.
        let start = slot * StickySigner.textLength
        var difference: UInt8 = 0
        for index in 0..<StickySigner.textLength { difference |= text[index] ^ texts[start + index] }
        return difference == 0 ? (entry.token, entry.key) : nil
    }

    func verified(_ text: Span<UInt8>, _ token: StickyToken, key: Int, by signer: Signer) {
        if entries.isEmpty {
            entries = Array(repeating: nil, count: Self.slots)
            texts = Array(repeating: 0, count: Self.slots * StickySigner.textLength)
        }
        let slot = Self.slot(of: text)
        entries[slot] = Entry(signer: signer, token: token, key: key)
        for index in 0..<StickySigner.textLength { texts[slot * StickySigner.textLength + index] = text[index] }
    }

    /// From the MAC, which is as good as random; its last character carries two bits only.
    private static func slot(of text: Span<UInt8>) -> Int {
        var hash: UInt32 = 0
        for index in StickySigner.textLength - 5..<StickySigner.textLength - 1 { hash = hash &* 61 &+ UInt32(text[index]) }
        return Int(hash) & (slots - 1)
    }
}
