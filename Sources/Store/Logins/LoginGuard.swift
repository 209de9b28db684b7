// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Logins that fail.
// Flows through: where a request comes from and what its proxies say into a client; a wrong token into that client's account; what the
//   account says into 401 or 429.
// Owner: a process has one guard, which all of its listeners share; it is guarded by its mutex.
// Must hold: a good token is never refused here, whoever else uses its address; memory is the same for one address and for a million.

package import Logging
package import Reactor
import Synchronization

/// Counts wrong tokens by client. Tokens are too long to be guessed: what this limits is what the wrong ones cost, and what operators don't see.
package final class LoginGuard: Sendable {
    package static let usualRate = 10

    private let proxies: TrustedProxies
    private let table: Mutex<LoginTable>
    private let start = ContinuousClock.now
    private let logger: Logger

    /// - Parameters:
    ///   - rate: wrong tokens that a client may show in a second; twice as many at once.
    ///   - trustedProxies: whose `X-Forwarded-For` is believed.
    package init(rate: Int = LoginGuard.usualRate, trustedProxies: [AddressRange] = [], logger: Logger = Logger(label: "logins")) {
        proxies = TrustedProxies(trustedProxies)
        table = Mutex(LoginTable(rate: rate))
        self.logger = logger
    }

    /// - Parameters:
    ///   - peer: the numeric address at the other end of the connection; nil for a Unix socket.
    ///   - forwardedFor: the lines of `X-Forwarded-For`.
    package func client(peer: String?, forwardedFor: [String]) -> LoginClient {
        proxies.client(peer: peer, forwardedFor: forwardedFor)
    }

    /// Seconds to wait for a client over its limit that shows again what was refused a moment ago; nil: look it up.
    package func wait(repeating token: String, from client: LoginClient) -> Int? {
        let now = microseconds
        return table.withLock { table in
            guard let wait = table.wait(of: client, at: now), table.wasRefused(Self.print(token), from: client, at: now) else { return nil }
            return Self.seconds(wait)
        }
    }

    /// This token was looked up and is no good. Seconds to wait where the client is over its limit; nil: tell it so.
    package func refused(_ token: String, from client: LoginClient) -> Int? {
        let now = microseconds
        let account = table.withLock { $0.refused(Self.print(token), from: client, at: now) }
        guard let account else { return nil }
        if account.isNews { logger.warning("Too many wrong tokens from one address", metadata: ["client": "\(client)"]) }
        return Self.seconds(account.wait)
    }

    private var microseconds: UInt64 {
        let (seconds, attoseconds) = (ContinuousClock.now - start).components
        return UInt64(seconds) * 1_000_000 + UInt64(attoseconds / 1_000_000_000_000)
    }

    /// Enough of the hash to know a text again.
    private static func print(_ token: String) -> UInt64 {
        TokenText.hash(token).prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
    }

    private static func seconds(_ microseconds: UInt64) -> Int {
        max(1, Int((microseconds + 999_999) / 1_000_000))
    }
}
