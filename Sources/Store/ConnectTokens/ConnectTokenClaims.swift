// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Foundation

/// What a connect token says. It can only ever narrow what its parent may do at the moment it is used.
package struct ConnectTokenClaims: Hashable, Sendable, Codable {
    static let issuer = "keyvane"
    /// Two servers' clocks may differ by this much.
    private static let leeway: TimeInterval = 60
    static let longestLife: TimeInterval = 86_400

    enum CodingKeys: String, CodingKey {
        case issuer = "iss"
        case parent = "sub"
        case grants
        case root
        case issuedAt = "iat"
        case expiry = "exp"
        case id = "jti"
    }

    let issuer: String
    /// The id of the token it was made with, or `root`.
    package let parent: String
    /// Absent: whatever the parent may do.
    package let grants: [Grant]?
    /// Which root token, where that is the parent: it has no row that could be revoked.
    let root: String?
    /// Seconds since 1970.
    let issuedAt: Int64
    let expiry: Int64
    package let id: String

    package var expiresAt: Date { Date(timeIntervalSince1970: TimeInterval(expiry)) }

    func isValid(at moment: Date) -> Bool {
        let now = moment.timeIntervalSince1970
        return issuer == Self.issuer && TimeInterval(expiry) > now && TimeInterval(issuedAt) <= now + Self.leeway
            && TimeInterval(expiry) - TimeInterval(issuedAt) <= Self.longestLife
    }
}
