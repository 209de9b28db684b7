// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Short-lived tokens for browsers: signed, not stored.
// Flows through: a parent's record and what is asked of it, into a JWT (RFC 7519, HS256); a JWT's text, into a record that may do no more
// than its parent may at that moment.
// Owner: nobody keeps anything; the keys come from the ring, and all of its keys verify.
// Must hold: what isn't exactly of our making opens nothing; a connect token ends with its parent, and never has more than it.

package import Foundation

extension ConfigurationStore {
    /// Makes a short-lived token that may do what its parent may, or the part of it that `grants` name. Nothing of it is stored.
    /// - Parameter lifetime: cut to the parent's own.
    /// - Throws: `idempotency_key_reused`, and `invalid` for grants that can't be, or are so many that the token would be too long.
    package func connectToken(
        of parent: TokenRecord,
        grants: [Grant]?,
        lifetime: Duration,
        key: IdempotencyKey? = nil
    ) async throws(StoreError) -> (text: String, expiresAt: Date) {
        if let key, let kept = try await remembered(key) { return try connectToken(keptAs: kept, under: key) }
        for (index, grant) in (grants ?? []).enumerated() {
            do throws(StoreError) { try grant.validate() } catch { throw error.inside("grants/\(index)") }
        }
        let now = Date()
        let end = min(now.addingTimeInterval(TimeInterval(lifetime.components.seconds)), parent.expiresAt ?? .distantFuture)
        let claims = ConnectTokenClaims(
            issuer: ConnectTokenClaims.issuer,
            parent: parent.id,
            grants: grants,
            root: parent.id == TokenRecord.configuredRoot.id ? configuration.rootTokenHash.map(connectKeys.binding) : nil,
            issuedAt: Int64(now.timeIntervalSince1970),
            expiry: Int64(end.timeIntervalSince1970),
            id: UUID().lowercased
        )
        let text = try await connectKeys.sign(claims)
        guard text.utf8.count <= ConnectTokenKeys.longest else {
            throw StoreError(.invalid, "grants make the token longer than \(ConnectTokenKeys.longest) bytes: name fewer", field: "grants")
        }
        guard let key else { return (text, claims.expiresAt) }
        let kept = try await remembered(key, answer: ReceiptSeal(keyRing, key).seal("\(claims.expiry) \(text)"))
        return try connectToken(keptAs: kept, under: key)
    }

    private func connectToken(keptAs sealed: String, under key: IdempotencyKey) throws(StoreError) -> (text: String, expiresAt: Date) {
        let parts = try ReceiptSeal(keyRing, key).open(sealed).split(separator: " ")
        guard parts.count == 2, let expiry = Int64(parts[0]) else {
            throw StoreError(.internalError, "a kept connect token can't be read")
        }
        return (String(parts[1]), Date(timeIntervalSince1970: TimeInterval(expiry)))
    }
}
