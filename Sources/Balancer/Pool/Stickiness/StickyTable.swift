// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// What became of a client's cookie.
package enum StickyPin: Equatable, Sendable {
    case pinned(member: Int, StickyToken)
    case refused(StickyRefusal)
}

/// Why a pin is not followed; also the label it is counted under.
package enum StickyRefusal: String, Sendable, CaseIterable {
    case forged
    case expired
    /// The pool has no such server any more.
    case unknown
    case down
    case draining
}

/// A pool's servers by their tags; made anew with each snapshot.
package final class StickyTable: Sendable {
    package let cookie: String
    private let signer: StickySigner
    private let policy: StickyPolicy
    private let members: [[UInt64: Int]]
    private let tags: [UInt64]

    package init(_ configuration: StickyConfiguration, signer: StickySigner, servers: [String]) {
        cookie = configuration.name
        self.signer = signer
        policy = StickyPolicy(configuration)
        members = (0..<signer.keyCount).map { key in
            Dictionary(servers.enumerated().map { (signer.tag(of: $1, key: key), $0) }) { first, _ in first }
        }
        tags = servers.map { signer.tag(of: $0) }
    }

    package func pin(_ text: Span<UInt8>, at now: UInt32, with memory: VerifiedTokens? = nil) -> StickyPin {
        guard let (token, key) = signer.verify(text, with: memory) else { return .refused(.forged) }
        guard now < token.expires else { return .refused(.expired) }
        guard let member = members[key][token.tag] else { return .refused(.unknown) }
        return .pinned(member: member, token)
    }

    /// The cookie's new text when `member` answers, or nil where the client's own will do. `kept` is the client's valid token for this
    /// very member.
    package func renewal(of kept: StickyToken?, servedBy member: Int, at now: UInt32) -> String? {
        guard let times = policy.renewal(of: kept, at: now) else { return nil }
        return signer.sign(StickyToken(tag: tags[member], issued: times.issued, expires: times.expires))
    }
}

/// When a pin begins, is prolonged and ends. Seconds since 1970.
package struct StickyPolicy: Sendable {
    private let maxIdle: UInt32
    private let maxLife: UInt32

    package init(_ configuration: StickyConfiguration) {
        maxIdle = UInt32(clamping: configuration.maxIdle.components.seconds)
        maxLife = UInt32(clamping: configuration.maxLife.components.seconds)
    }

    /// A pin is prolonged once half of `maxIdle` is gone, never beyond `maxLife` from its beginning: then it ends, and a new one begins.
    package func renewal(of token: StickyToken?, at now: UInt32) -> (issued: UInt32, expires: UInt32)? {
        guard let token else { return (now, Self.sum(now, min(maxIdle, maxLife))) }
        let expires = min(Self.sum(now, maxIdle), Self.sum(token.issued, maxLife))
        return expires >= Self.sum(token.expires, maxIdle / 2) ? (token.issued, expires) : nil
    }

    private static func sum(_ left: UInt32, _ right: UInt32) -> UInt32 {
        left.addingReportingOverflow(right).overflow ? .max : left + right
    }
}
