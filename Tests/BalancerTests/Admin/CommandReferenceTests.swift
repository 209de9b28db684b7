// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Foundation
import TestSupport
import Testing

/// The same lines to HAProxy's socket and ours.
@Suite struct CommandReferenceTests {
    /// Answers that must be HAProxy's, byte for byte.
    private static let lines = [
        "show servers state nope", "set server web/web-1 state drain", "set server web/web-1 state maint",
        "set server web/web-1 state ready",
        "set server web/web-1 state", "set server web/web-1 state bogus", "set server web/web-1 state DRAIN",
        "set server web/web-1 weight 20",
        "set server web/web-1 weight 0", "set server web/web-1 weight 256", "set server web/web-1 weight 257",
        "set server web/web-1 weight -1",
        "set server web/web-1 weight 50%", "set server web/web-1 weight 100%", "set server web/web-1 weight -5%",
        "set server web/web-1 weight",
        "set server web/web-1 weight abc", "set server web/web-1 weight 20x", "set server web/web-1 weight 300x",
        "set server web/web-1 weight %",
        "set server web/nope state ready", "set server nope/web-1 state ready", "set server web-1 state ready", "set server",
        "set server web/ state ready", "set server /web-1 state ready", "set server web/web-1/x state ready",
        "set server web/web-1 state ready extra", "quit", "quit; show stat", "show servers state nope; show servers state nope",
        "show servers state nope;set server web/nope state ready", "  show   servers  state   nope  ", "show servers state nope\r",
        "prompt; show servers state nope; quit", "prompt; quit", "help quit",
    ]

    @Test func answersAreTheSame() async throws {
        try await BalancerFixture.withSocket { fixture, path in
            try await fixture.withHAProxy("  balance roundrobin", server: { _ in "weight 10" }) { _, reference in
                let other = try #require(reference.server).folder + "/admin.sock"
                for line in Self.lines {
                    let expected = try await fixture.command(line + "\n", at: other)
                    #expect(try await fixture.command(line + "\n", at: path) == expected, "\(line)")
                }
            }
        }
    }

    @Test func tablesHaveTheSameColumns() async throws {
        try await BalancerFixture.withSocket { fixture, path in
            try await fixture.withHAProxy("  balance roundrobin", server: { _ in "weight 1 check" }) { _, reference in
                let other = try #require(reference.server).folder + "/admin.sock"
                let stats = try await [path, other].asyncMap { try await fixture.command("show stat\n", at: $0) }
                #expect(stats[0].prefix { $0 != "\n" } == stats[1].prefix { $0 != "\n" })
                #expect(stats[1].hasSuffix("\n\n") && stats[0].hasSuffix("\n\n"))
                let rows = stats.map { $0.split(separator: "\n").map { $0.split(separator: ",", omittingEmptySubsequences: false).count } }
                #expect(Set(rows[0]) == Set(rows[1]))
                // One listener, two servers, one pool in both.
                let kinds = stats.map { text in
                    text.split(separator: "\n").dropFirst().map { line in
                        let fields = line.split(separator: ",", omittingEmptySubsequences: false)
                        return "\(fields[1]) \(fields[17]) \(fields[18]) \(fields[19]) \(fields[20]) \(fields[32])"
                    }
                }
                #expect(kinds[0] == kinds[1])
                let states = try await [path, other].asyncMap { try await fixture.command("show servers state\n", at: $0) }
                let lines = states.map { $0.split(separator: "\n", omittingEmptySubsequences: false).map(String.init) }
                #expect(lines[0].count == lines[1].count && lines[0][0] == "1" && lines[0][1] == lines[1][1])
                for (own, foreign) in zip(lines[0][2...3], lines[1][2...3]) {
                    let fields = [own, foreign].map { $0.split(separator: " ").map(String.init) }
                    #expect(fields[0].count == fields[1].count)
                    // Names, address, states, weights, port; the numbers of proxies and times are each one's own.
                    for index in [1, 2, 3, 4, 5, 6, 7, 8, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24] {
                        #expect(fields[0][index] == fields[1][index], "field \(index) of \(own)")
                    }
                }
            }
        }
    }

    @Test func unknownCommandsListThoseThatExist() async throws {
        try await BalancerFixture.withSocket { fixture, path in
            try await fixture.withHAProxy("  balance roundrobin") { _, reference in
                let other = try #require(reference.server).folder + "/admin.sock"
                for line in ["", "bogus", "show", "set", "help", "help show"] {
                    let (own, foreign) = (
                        try await fixture.command(line + "\n", at: path), try await fixture.command(line + "\n", at: other)
                    )
                    // Ours are fewer; each line of them has HAProxy's form, and the last ones are its own.
                    #expect(own.hasSuffix(foreign.suffix(100)), "\(line)")
                    if line != "bogus" { #expect(own.prefix { $0 != "\n" } == foreign.prefix { $0 != "\n" }, "\(line)") }
                    #expect(own.split(separator: "\n").dropFirst().allSatisfy { $0.hasPrefix("  ") && $0.contains(": ") })
                }
            }
        }
    }

    @Test func infoHasKeysOfHAProxys() async throws {
        try await BalancerFixture.withSocket { fixture, path in
            try await fixture.withHAProxy("  balance roundrobin") { _, reference in
                let other = try #require(reference.server).folder + "/admin.sock"
                let keys = try await [path, other].asyncMap { path in
                    try await fixture.command("show info\n", at: path).split(separator: "\n").map { String($0.prefix { $0 != ":" }) }
                }
                #expect(keys[0].count > 15)
                // In the same order.
                #expect(keys[0] == keys[1].filter(keys[0].contains))
            }
        }
    }
}

extension Array {
    fileprivate func asyncMap<Value>(_ transform: (Element) async throws -> Value) async rethrows -> [Value] {
        var values: [Value] = []
        for element in self { values.append(try await transform(element)) }
        return values
    }
}
