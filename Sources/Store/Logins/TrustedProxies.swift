// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor

/// Whose word about a client's address counts. Immutable.
struct TrustedProxies: Sendable {
    /// Longer chains are nobody's network, but somebody's attempt.
    private static let longestChain = 16

    private let ranges: [AddressRange]

    init(_ ranges: [AddressRange]) {
        self.ranges = ranges
    }

    /// The nearest address that is none of the proxies'. Each of them has written down whom it saw, so the list is read from its end, and only
    /// for as long as the writer is trusted: what a client sent itself stands before that and is never reached.
    func client(peer: String?, forwardedFor lines: [String]) -> LoginClient {
        let address = peer.map { SocketAddress(numeric: $0, port: 0) } ?? .unix("")
        guard var nearest = address, isTrusted(nearest) else { return LoginClient(address) }
        var hops = 0
        for line in lines.reversed() {
            for element in line.split(separator: ",", omittingEmptySubsequences: false).reversed() {
                let text = element.drop { $0 == " " || $0 == "\t" }
                let end = text.lastIndex { $0 != " " && $0 != "\t" }
                hops += 1
                guard hops <= Self.longestChain, let end, let hop = SocketAddress(numeric: String(text[...end]), port: 0) else {
                    return LoginClient(nearest)
                }
                nearest = hop
                guard isTrusted(hop) else { return LoginClient(hop) }
            }
        }
        return LoginClient(nearest)
    }

    private func isTrusted(_ address: SocketAddress) -> Bool {
        ranges.contains { $0.contains(address) }
    }
}
