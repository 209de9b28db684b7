// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Testing

/// Tokens and their times, by values.
@Suite struct StickyRuleTests {
    private static let keyA = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
    private static let keyB = "b:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE="

    private func table(_ keys: String = keyA, pool: String = "api", servers: [String] = ["api-1", "api-2"]) throws -> StickyTable {
        let ring = try StickyKeyRing(parsing: keys)
        return StickyTable(StickyConfiguration(pool: pool), signer: StickySigner(ring, pool: pool), servers: servers)
    }

    private func pin(_ text: String, _ table: StickyTable, at now: UInt32) -> StickyPin {
        table.pin(Array(text.utf8).span, at: now)
    }

    @Test func tokensLeadBack() throws {
        let table = try table()
        let text = try #require(table.renewal(of: nil, servedBy: 1, at: 1000))
        guard case .pinned(1, let token) = pin(text, table, at: 1001) else {
            Issue.record("not pinned")
            return
        }
        #expect(token.issued == 1000 && token.expires == 4600)
        #expect(pin(text, table, at: 4599) == .pinned(member: 1, token))
        #expect(pin(text, table, at: 4600) == .refused(.expired))
        // The same key in another process, in another order, with one server more.
        let other = try self.table(Self.keyB + "\n# old\n" + Self.keyA, servers: ["api-3", "api-2", "api-1"])
        #expect(pin(text, other, at: 1001) == .pinned(member: 1, StickyToken(tag: token.tag, issued: 1000, expires: 4600)))
        #expect(try pin(text, self.table(servers: ["api-1"]), at: 1001) == .refused(.unknown))
        #expect(try pin(text, self.table(Self.keyB), at: 1001) == .refused(.forged))
        #expect(try pin(text, self.table(pool: "gateway"), at: 1001) == .refused(.forged))
    }

    @Test func everyChangedCharacterIsForged() throws {
        let table = try table()
        let text = try #require(table.renewal(of: nil, servedBy: 0, at: 1000))
        for index in text.indices {
            var changed = text
            changed.replaceSubrange(index...index, with: text[index] == "A" ? "B" : "A")
            #expect(pin(changed, table, at: 1001) == .refused(.forged), "\(changed)")
        }
        for other in ["", "A", text + "=", text + "A", String(text.dropLast()), String(repeating: "é", count: 23)] {
            #expect(pin(other, table, at: 1001) == .refused(.forged))
        }
    }

    @Test func whatIsRememberedIsStillJudged() throws {
        let (table, memory) = (try table(), VerifiedTokens())
        func pin(_ text: String, _ table: StickyTable, at now: UInt32) -> StickyPin {
            table.pin(Array(text.utf8).span, at: now, with: memory)
        }
        // More than there is room for, each asked twice: the second time from memory, unless another took its place.
        for issued in UInt32(1000)..<4000 {
            let text = try #require(table.renewal(of: nil, servedBy: Int(issued) % 2, at: issued))
            guard case .pinned(Int(issued) % 2, let token) = pin(text, table, at: issued) else {
                Issue.record("not pinned")
                return
            }
            #expect(pin(text, table, at: issued + 1) == .pinned(member: Int(issued) % 2, token))
            #expect(pin(text, table, at: token.expires) == .refused(.expired))
            // One character less, one changed: what is remembered vouches for nothing else.
            #expect(pin(String(text.dropLast()), table, at: issued) == .refused(.forged))
            let changed = (text.first == "B" ? "A" : "B") + text.dropFirst()
            #expect(pin(changed, table, at: issued) == .refused(.forged))
        }
        let text = try #require(table.renewal(of: nil, servedBy: 1, at: 1000))
        #expect(pin(text, table, at: 1000) != .refused(.forged))
        #expect(try pin(text, self.table(servers: ["api-1"]), at: 1001) == .refused(.unknown))
        #expect(try pin(text, self.table(Self.keyB), at: 1001) == .refused(.forged))
        #expect(try pin(text, self.table(pool: "gateway"), at: 1001) == .refused(.forged))
    }

    @Test func renewalsComeAfterHalfOfMaxIdleAndEndWithMaxLife() throws {
        let policy = StickyPolicy(StickyConfiguration(pool: "api"))
        func renewal(_ issued: UInt32, _ expires: UInt32, at now: UInt32) -> [UInt32]? {
            policy.renewal(of: StickyToken(tag: 1, issued: issued, expires: expires), at: now).map { [$0.issued, $0.expires] }
        }
        #expect(policy.renewal(of: nil, at: 1000).map { [$0.issued, $0.expires] } == [1000, 4600])
        #expect(renewal(1000, 4600, at: 1000) == nil)
        #expect(renewal(1000, 4600, at: 2799) == nil)
        #expect(renewal(1000, 4600, at: 2800) == [1000, 6400])
        // A day after its beginning the pin ends, whatever the client does.
        #expect(renewal(1000, 86_000, at: 85_000) == nil)
        #expect(renewal(1000, 87_400, at: 87_399) == nil)
        #expect(renewal(1000, 84_000, at: 83_900) == [1000, 87_400])
        #expect(policy.renewal(of: nil, at: .max)?.expires == .max)
    }

    @Test func keyRings() throws {
        _ = try StickyKeyRing(parsing: "x:\(Self.keyA), \(Self.keyB)\n")
        for bad in ["", "#", "short", "AAAA", "\(Self.keyA),!", "é", String(Self.keyA.dropLast(2))] {
            #expect(throws: BalancerError.self, "\(bad)") { try StickyKeyRing(parsing: bad) }
        }
    }
}

/// What attackers write into the cookie.
@Suite struct StickyForgeryTests {
    /// Base64 has several spellings of some bytes (`+` and `-`, unused bits); whatever verifies is the token that was signed.
    @Test func damagedTokensAreForged() throws {
        let signer = StickySigner(try StickyKeyRing(parsing: "first:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="), pool: "web")
        var generator = SeededGenerator(seed: 46)
        var accepted = 0
        for round in 0..<60_000 {
            let token = StickyToken(tag: generator.next(), issued: UInt32(round), expires: UInt32(round) + 60)
            let original = Array(signer.sign(token).utf8)
            var text = original
            for _ in 0..<Int.random(in: 1...3, using: &generator) where !text.isEmpty {
                let index = Int.random(in: 0..<text.count, using: &generator)
                switch Int.random(in: 0..<5, using: &generator) {
                case 0: text[index] = UInt8.random(in: 0...255, using: &generator)
                case 1: text[index] = UInt8(ascii: "A") + UInt8.random(in: 0..<26, using: &generator)
                case 2: text.remove(at: index)
                case 3: text.insert(text[index], at: index)
                default: text.swapAt(index, Int.random(in: 0..<text.count, using: &generator))
                }
            }
            guard let verified = signer.verify(text.span) else { continue }
            accepted += 1
            #expect(verified.token == token && verified.key == 0)
        }
        // Some damage was none: two equal letters swapped.
        #expect(accepted < 6000)
    }
}
