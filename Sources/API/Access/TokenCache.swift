// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Store
import Synchronization

/// Tokens that were found good within the last second, so that a client's requests in a row cost one look-up. Guarded by its mutex.
///
/// A revocation must be noticed within a second whatever becomes of its message: an entry counts from before its look-up began. What was
/// refused is never kept.
final class TokenCache: Sendable {
    /// SHA-256 of a token's text.
    typealias Key = [UInt8]

    private struct State {
        var entries: [Key: (token: TokenRecord, until: ContinuousClock.Instant)] = [:]
        /// Rises whenever a token is forgotten: what was being looked up meanwhile may be out of date.
        var generation: UInt64 = 0
    }

    private static let capacity = 4096

    private let lifetime: Duration
    private let state = Mutex(State())

    init(lifetime: Duration = .seconds(1)) {
        self.lifetime = lifetime
    }

    /// The token of this text: the one that is known, or what `lookUp` gives.
    func token(_ key: Key, lookUp: () async throws(StoreError) -> TokenRecord?) async throws(StoreError) -> TokenRecord? {
        let now = ContinuousClock.now
        let (known, generation) = state.withLock { state in (state.entries[key], state.generation) }
        if let known, known.until > now, !known.token.isExpired(at: .now) { return known.token }
        guard let token = try await lookUp() else { return nil }
        state.withLock { state in
            guard state.generation == generation else { return }
            // Texts are as many as callers, not as many as we like: what is full begins anew.
            if state.entries.count >= Self.capacity { state.entries = [:] }
            state.entries[key] = (token, now + lifetime)
        }
        return token
    }

    /// It was revoked or changed: its connect tokens go with it.
    func forget(tokenID: String) {
        state.withLock { state in
            state.generation += 1
            state.entries = state.entries.filter { $0.value.token.id != tokenID }
        }
    }
}
