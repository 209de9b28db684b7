// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Crypto
import Foundation
import JWTKit

/// Signs and checks connect tokens: JWTs of one kind only (HS256, our key ids), so that no header can talk us into another one.
struct ConnectTokenKeys: Sendable {
    /// No token of any kind is longer; browsers send them in the URL.
    static let longest = 4096
    private static let label = "connect-token"

    /// The claims as the library wants them. Beyond the signature it judges nothing: `isValid` does, at a moment that the caller names.
    private struct Payload: JWTPayload {
        let claims: ConnectTokenClaims

        init(_ claims: ConnectTokenClaims) {
            self.claims = claims
        }

        init(from decoder: any Decoder) throws {
            claims = try ConnectTokenClaims(from: decoder)
        }

        func encode(to encoder: any Encoder) throws {
            try claims.encode(to: encoder)
        }

        func verify(using algorithm: some JWTAlgorithm) async throws {}
    }

    private let keys: [(id: String, key: SymmetricKey)]
    private let collection = JWTKeyCollection()

    init(_ ring: KeyRing) {
        keys = Array(zip(ring.ids, ring.derivedKeys(label: Self.label)))
    }

    func sign(_ claims: ConnectTokenClaims) async throws(StoreError) -> String {
        do {
            let first = keys[0]
            return try await keys(for: first.id, first.key).sign(Payload(claims), kid: JWKIdentifier(string: first.id))
        } catch {
            throw StoreError(.internalError, "a connect token could not be signed", underlying: "\(error)")
        }
    }

    /// Nil for whatever isn't a connect token of ours that holds at the moment.
    func claims(of text: String, at moment: Date) async -> ConnectTokenClaims? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard text.utf8.count <= Self.longest, parts.count == 3, let id = Self.keyID(parts[0]) else { return nil }
        guard let key = keys.first(where: { $0.id == id })?.key else { return nil }
        guard let claims = try? await keys(for: id, key).verify(text, as: Payload.self).claims else { return nil }
        return claims.isValid(at: moment) ? claims : nil
    }

    /// Adding the same key again changes nothing, and there are only as many as master keys.
    private func keys(for id: String, _ key: SymmetricKey) async -> JWTKeyCollection {
        await collection.add(hmac: HMACKey(key: key), digestAlgorithm: .sha256, kid: JWKIdentifier(string: id))
    }

    /// Nil for other algorithms, `none` among them, other types, and members that would have to be understood (RFC 7515, section 4.1.11).
    private static func keyID(_ header: Substring) -> String? {
        var text = header.replacingOccurrences(of: "-", with: "+").replacingOccurrences(of: "_", with: "/")
        text += String(repeating: "=", count: (4 - text.utf8.count % 4) % 4)
        guard let data = Data(base64Encoded: text), let members = try? JSONDecoder().decode([String: String].self, from: data),
            members.count == 3, members["alg"] == "HS256", members["typ"] == "JWT"
        else { return nil }
        return members["kid"]
    }

    // MARK: The configured root token

    /// What ties a connect token to this very root token: a short code of its hash, of no use to anybody else.
    func binding(toRoot hash: [UInt8]) -> String {
        Self.binding(hash, keys[0].key)
    }

    func isBound(_ claims: ConnectTokenClaims, toRoot hash: [UInt8]) -> Bool {
        guard let root = claims.root else { return false }
        return keys.contains { TokenText.matches(Array(Self.binding(hash, $0.key).utf8), Array(root.utf8)) }
    }

    private static func binding(_ hash: [UInt8], _ key: SymmetricKey) -> String {
        let code = HMAC<SHA256>.authenticationCode(for: Data("root".utf8) + Data(hash), using: key)
        return Data(code.prefix(12)).base64EncodedString()
    }
}
