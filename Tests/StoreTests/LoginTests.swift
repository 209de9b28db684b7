// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Logging
import Reactor
import Store
import Synchronization
import Testing

/// Wrong tokens, and whose they are.
@Suite struct LoginTests {
    private static let second: UInt64 = 1_000_000

    private static func client(_ number: Int) -> LoginClient {
        LoginClient(.v4(0x0A00_0000 + UInt32(number), port: 1))
    }

    private static func ranges(_ texts: [String]) throws -> [AddressRange] {
        try texts.map { try #require(AddressRange($0)) }
    }

    // MARK: Whose

    @Test(
        arguments: [
            // Nobody is trusted: what is said of others counts for nothing.
            ([], "10.0.0.1", ["203.0.113.9"], "10.0.0.1"),
            ([], nil, ["203.0.113.9"], "unix:"),
            (["10.0.0.0/8"], "192.0.2.7", ["203.0.113.9"], "192.0.2.7"),
            // A trusted proxy's last word counts, not what the client put before it.
            (["10.0.0.0/8"], "10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
            (["10.0.0.0/8"], "10.0.0.1", ["1.1.1.1, 203.0.113.9"], "203.0.113.9"),
            (["10.0.0.0/8"], "10.0.0.1", ["1.1.1.1", "2.2.2.2,203.0.113.9"], "203.0.113.9"),
            (["10.0.0.0/8"], "10.0.0.1", ["1.1.1.1, 203.0.113.9, 10.7.7.7"], "203.0.113.9"),
            (["10.0.0.0/8"], "10.0.0.1", ["1.1.1.1,203.0.113.9\t,10.7.7.7 , 10.0.0.2"], "203.0.113.9"),
            (["10.0.0.0/8"], "10.0.0.1", [], "10.0.0.1"),
            (["10.0.0.0/8"], "10.0.0.1", ["10.0.0.2"], "10.0.0.2"),
            (["unix:"], nil, ["203.0.113.9"], "203.0.113.9"),
            (["::1"], "::1", ["2001:db8:1:2:3:4:5:6"], "2001:db8:1:2::/64"),
            (["127.0.0.1"], "::ffff:127.0.0.1", ["::ffff:203.0.113.9"], "203.0.113.9"),
            // What is no address ends the chain where it was.
            (["10.0.0.0/8"], "10.0.0.1", ["203.0.113.9, unknown"], "10.0.0.1"),
            (["10.0.0.0/8"], "10.0.0.1", ["203.0.113.9,"], "10.0.0.1"),
            (["10.0.0.0/8"], "10.0.0.1", [""], "10.0.0.1"),
            (["10.0.0.0/8"], "10.0.0.1", ["203.0.113.9, x, 10.0.0.3"], "10.0.0.3"),
            (["10.0.0.0/8"], "10.0.0.1", ["203.0.113.9:4711"], "10.0.0.1"),
            (["10.0.0.0/8"], "10.0.0.1", ["203.0.113.9\u{0}"], "10.0.0.1"),
            (["10.0.0.0/8"], "10.0.0.1", ["203.0.113.9" + String(repeating: ", 10.0.0.3", count: 5_000)], "10.0.0.3"),
        ] as [([String], String?, [String], String)]
    )
    func theClientIsWhoTheTrustedSay(_ trusted: [String], _ peer: String?, _ lines: [String], _ expected: String) throws {
        let logins = LoginGuard(trustedProxies: try Self.ranges(trusted))
        #expect("\(logins.client(peer: peer, forwardedFor: lines))" == expected)
    }

    @Test func aSiteOfIPv6IsOneClient() {
        let logins = LoginGuard()
        let one = logins.client(peer: "2001:db8:1:2::1", forwardedFor: [])
        #expect(one == logins.client(peer: "2001:db8:1:2:ffff::9", forwardedFor: []))
        #expect(one != logins.client(peer: "2001:db8:1:3::1", forwardedFor: []))
        // An IPv4 address is none of IPv6's, whatever its bits.
        #expect(logins.client(peer: "0.0.0.0", forwardedFor: []) != logins.client(peer: "::", forwardedFor: []))
    }

    // MARK: How many

    @Test func anAccountRunsOutAndRecovers() {
        var table = LoginTable(rate: 10)
        let client = Self.client(1)
        for number in 0..<20 { #expect(table.refused(UInt64(number), from: client, at: Self.second) == nil) }
        let first = table.refused(20, from: client, at: Self.second)
        #expect(first?.wait == 100_000 && first?.isNews == true)
        #expect(table.wait(of: client, at: Self.second) == 100_000)
        // A flood adds nothing to the debt, and no lines to the log.
        for number in 0..<10_000 { #expect(table.refused(UInt64(number), from: client, at: Self.second)?.isNews == false) }
        #expect(table.refused(0, from: Self.client(2), at: Self.second) == nil)
        #expect(table.wait(of: client, at: Self.second + 100_000) == nil)
        #expect(table.refused(21, from: client, at: Self.second + 100_000) == nil)
        #expect(table.refused(22, from: client, at: Self.second + 100_000)?.wait == 100_000)
        for number in 0..<20 { #expect(table.refused(UInt64(number), from: client, at: 10 * Self.second) == nil) }
        #expect(table.refused(23, from: client, at: 10 * Self.second)?.isNews == false)
        #expect(table.refused(24, from: client, at: 61 * Self.second) == nil)
    }

    @Test func aTokenIsRememberedForASecond() {
        var table = LoginTable(rate: 1)
        let client = Self.client(1)
        #expect(!table.wasRefused(7, from: client, at: 0))
        _ = table.refused(7, from: client, at: 0)
        #expect(table.wasRefused(7, from: client, at: LoginTable.memory - 1))
        #expect(!table.wasRefused(7, from: client, at: LoginTable.memory))
        #expect(!table.wasRefused(8, from: client, at: 1) && !table.wasRefused(7, from: Self.client(2), at: 1))
    }

    @Test func memoryIsBounded() {
        var table = LoginTable(rate: 10)
        #expect(table.count == 0)
        for number in 0..<200_000 { _ = table.refused(1, from: Self.client(number), at: Self.second) }
        #expect(table.count <= LoginTable.capacity)
        // Whoever comes now is limited like anybody else.
        let client = Self.client(1_000_000)
        for number in 0..<20 { #expect(table.refused(UInt64(number), from: client, at: Self.second) == nil) }
        #expect(table.refused(20, from: client, at: Self.second) != nil)
        // And a crowd that is wrong once each doesn't free it.
        for number in 0..<20_000 { _ = table.refused(1, from: Self.client(number), at: Self.second + 1) }
        #expect(table.wait(of: client, at: Self.second + 1) != nil)
    }

    // MARK: The guard

    @Test func theSameTokenIsLookedUpOnce() {
        let logins = LoginGuard(rate: 1)
        let client = logins.client(peer: "192.0.2.1", forwardedFor: [])
        #expect(logins.wait(repeating: "wrong", from: client) == nil)
        #expect(logins.refused("wrong", from: client) == nil && logins.refused("wrong", from: client) == nil)
        #expect((1...2).contains(logins.refused("wrong", from: client) ?? 0))
        #expect((1...2).contains(logins.wait(repeating: "wrong", from: client) ?? 0))
        // Another one may be right.
        #expect(logins.wait(repeating: "other", from: client) == nil)
    }

    @Test func theLogNamesTheClientAndNoToken() {
        let lines = Lines()
        let logins = LoginGuard(rate: 1, logger: Logger(label: "test") { _ in lines })
        let client = logins.client(peer: "192.0.2.1", forwardedFor: [])
        for number in 0..<50 { _ = logins.refused("kv_ab12cd34_secret\(number)", from: client) }
        #expect(lines.all == ["warning Too many wrong tokens from one address [\"client\": 192.0.2.1]"])
    }

    private final class Lines: LogHandler {
        private let lines = Mutex<[String]>([])
        var all: [String] { lines.withLock { $0 } }

        func log(event: LogEvent) {
            lines.withLock { $0.append("\(event.level) \(event.message) \(event.metadata ?? [:])") }
        }

        subscript(metadataKey _: String) -> Logger.Metadata.Value? {
            get { nil }
            set {}
        }
        var metadata: Logger.Metadata {
            get { [:] }
            set {}
        }
        var logLevel: Logger.Level {
            get { .trace }
            set {}
        }
    }
}
