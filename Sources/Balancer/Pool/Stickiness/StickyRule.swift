// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Wire

/// What a request says of the server that its client had.
package enum StickySign: Sendable, Equatable {
    case none
    /// The token is the cookie's own, in mode `cookie`.
    case member(Int, StickyToken?)
    case refused(StickyRefusal)
    /// The client is known by this, and goes where that leads.
    case key(UInt64)
}

/// How a pool's clients come back to the server they had: one of the kinds, with the servers it knows. Made anew when servers, routes or
/// keys change; immutable.
package final class StickyRule: Sendable {
    private enum Kind: Sendable {
        case cookie(StickyTable)
        case passive(cookie: String, [String: Int])
        case route(SessionRoute)
        case key(HashKey)
    }

    private let kind: Kind
    /// Clients of a known server that is down get 503.
    package let failsWhenDown: Bool

    /// nil: the pool isn't sticky.
    package init?(_ pool: PoolConfiguration, signer: StickySigner, servers: [ServerConfiguration]) {
        guard let configuration = pool.sticky else { return nil }
        failsWhenDown = configuration.onDown == .fail
        switch configuration.mode {
        case .cookie:
            kind = .cookie(StickyTable(configuration, signer: signer, servers: servers.map(\.name)))
        case .passive:
            let members = Dictionary(servers.enumerated().map { ($1.name, $0) }) { first, _ in first }
            kind = .passive(cookie: configuration.name, members)
        case .route:
            kind = .route(SessionRoute(cookie: configuration.name, parameter: configuration.parameter, routes: servers.map(\.route)))
        case .ip:
            kind = .key(.ip)
        case .header:
            kind = .key(.header(configuration.name))
        case .query:
            kind = .key(.query(configuration.name))
        }
    }

    /// Our own cookie, in mode `cookie`.
    package var table: StickyTable? {
        if case .cookie(let table) = kind { table } else { nil }
    }

    /// `seconds` since 1970, and the trusted client `address`, where they are needed; `memory` is the loop's.
    package func read(
        _ head: RequestHead,
        in bytes: Span<UInt8>,
        with memory: VerifiedTokens? = nil,
        seconds: () -> UInt32,
        address: () -> String
    ) -> StickySign {
        switch kind {
        case .cookie(let table):
            guard let text = Cookies.first(table.cookie, of: head.fields, in: bytes) else { return .none }
            switch table.pin(bytes.extracting(text), at: seconds(), with: memory) {
            case .pinned(let member, let token): return .member(member, token)
            case .refused(let reason): return .refused(reason)
            }
        case .passive(let cookie, let members):
            guard let text = Cookies.first(cookie, of: head.fields, in: bytes) else { return .none }
            return members[bytes.string(text)].map { .member($0, nil) } ?? .refused(.unknown)
        case .route(let sessions):
            switch sessions.find(head, in: bytes) {
            case .none: return .none
            case .member(let member): return .member(member, nil)
            case .unknown: return .refused(.unknown)
            }
        case .key(let key):
            return key.value(of: head, in: bytes, address: address).map { .key($0) } ?? .none
        }
    }
}
