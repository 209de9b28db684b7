// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// The accounts of clients that showed wrong tokens: a bucket each, in a table that never grows. A value of the guard's; times are
/// microseconds of any clock that doesn't go back.
package struct LoginTable: Sendable {
    /// Places that a client may have; a stranger takes the one that is nearest to being forgiven.
    private static let ways = 4
    private static let sets = 1_024
    package static let capacity = ways * sets
    /// How long a token that was refused is refused again without a look.
    package static let memory: UInt64 = 1_000_000
    /// The log has one line a client in this time.
    private static let silence: UInt64 = 60_000_000

    private struct Account: Sendable {
        let client: LoginClient
        /// When the last of what it did wrong is forgiven: the generic cell rate algorithm (ITU-T I.371), whose state is one time.
        var forgivenAt: UInt64
        var lastToken: UInt64 = 0
        var refusedAt: UInt64 = 0
        var loggedAt: UInt64?
    }

    private var accounts: [Account?] = []
    private let interval: UInt64
    private let allowance: UInt64

    /// - Parameter rate: failures a second; twice as many at once.
    package init(rate: Int) {
        interval = max(1, 1_000_000 / UInt64(max(1, rate)))
        allowance = interval * 2 * UInt64(max(1, rate))
    }

    /// How many clients have an account.
    package var count: Int { accounts.count { $0 != nil } }

    /// Until this client's next failure is within its limit; nil: it would be now.
    package func wait(of client: LoginClient, at now: UInt64) -> UInt64? {
        place(of: client).flatMap { accounts[$0] }.flatMap { wait($0, at: now) }
    }

    private func wait(_ account: Account, at now: UInt64) -> UInt64? {
        let after = max(account.forgivenAt, now) + interval
        return after > now + allowance ? after - now - allowance : nil
    }

    /// Is it the same token as the last one, and was that one refused just now?
    package func wasRefused(_ token: UInt64, from client: LoginClient, at now: UInt64) -> Bool {
        guard let account = place(of: client).flatMap({ accounts[$0] }) else { return false }
        return account.lastToken == token && now < account.refusedAt + Self.memory
    }

    /// - Returns: nil within the limit; beyond it how long to wait, and whether the log should hear of it.
    package mutating func refused(_ token: UInt64, from client: LoginClient, at now: UInt64) -> (wait: UInt64, isNews: Bool)? {
        // Most processes never need it.
        if accounts.isEmpty { accounts = Array(repeating: nil, count: Self.capacity) }
        let index = place(of: client) ?? room(for: client)
        var account = accounts[index].flatMap { $0.client == client ? $0 : nil } ?? Account(client: client, forgivenAt: now)
        defer { accounts[index] = account }
        (account.lastToken, account.refusedAt) = (token, now)
        guard let wait = wait(account, at: now) else {
            account.forgivenAt = max(account.forgivenAt, now) + interval
            return nil
        }
        // What is over the limit adds nothing to the debt: it ends soon after the flood does.
        let isNews = account.loggedAt.map { now >= $0 + Self.silence } ?? true
        if isNews { account.loggedAt = now }
        return (wait, isNews)
    }

    private func place(of client: LoginClient) -> Int? {
        guard !accounts.isEmpty else { return nil }
        return set(of: client).first { accounts[$0]?.client == client }
    }

    private func room(for client: LoginClient) -> Int {
        let set = set(of: client)
        return set.min { (accounts[$0]?.forgivenAt ?? 0) < (accounts[$1]?.forgivenAt ?? 0) } ?? set.lowerBound
    }

    /// Seeded at random in each process (`Hasher`), so nobody can choose addresses that meet in one set.
    private func set(of client: LoginClient) -> Range<Int> {
        let first = Int(UInt(bitPattern: client.hashValue) % UInt(Self.sets)) * Self.ways
        return first..<first + Self.ways
    }
}
