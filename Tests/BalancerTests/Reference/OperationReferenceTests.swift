// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import TestSupport
import Testing

/// HAProxy's drain, backup servers and connection limits, and ours.
@Suite struct OperationReferenceTests {
    private static let pools = [("web", "web-1"), ("web", "web-2"), ("web", "web-3")]

    /// `set server web/web-1 state drain`: who is pinned is still served, nobody else; `ready` brings all of it back.
    @Test func drainAdmitsPinnedClients() async throws {
        try await BalancerFixture.with(Self.pools) { fixture in
            try await fixture.withHAProxy("  balance roundrobin\n  cookie SERVERID insert indirect nocache") { ours, reference in
                for proxy in [ours, reference] {
                    let pin = try await proxy.pin(to: "web-1")
                    try await proxy.setState("drain", of: "web-1")
                    for _ in 0..<5 {
                        let pinned = try await proxy.get(cookie: pin)
                        #expect(pinned.text == "web-1" && pinned.values("set-cookie").isEmpty, "\(proxy.name)")
                    }
                    for _ in 0..<9 { #expect(try await proxy.get().text != "web-1", "\(proxy.name)") }
                    try await proxy.setState("maint", of: "web-1")
                    let moved = try await proxy.get(cookie: pin)
                    #expect(moved.status == 200 && moved.text != "web-1" && moved.cookie(proxy.cookie) != nil, "\(proxy.name)")
                    try await proxy.setState("ready", of: "web-1")
                    _ = try await eventually("web-1 behind \(proxy.name)") { try await proxy.get(cookie: pin).text == "web-1" ? true : nil }
                }
            }
        }
    }

    /// Backups wait until no primary is left, and are left again.
    @Test func backupsServeOnlyAlone() async throws {
        try await BalancerFixture.with(
            Self.pools,
            configure: { configuration in
                configuration.pools[0].sticky = nil
                configuration.pools[0].servers[2].isBackup = true
                configuration.pools[0].health.interval = .milliseconds(200)
                configuration.pools[0].slowStart = .zero
            }
        ) { fixture in
            let options: @Sendable (String) -> String = { "check inter 200ms fall 3 rise 2" + ($0 == "web-3" ? " backup" : "") }
            let checks = "  balance roundrobin\n  option httpchk GET /readyz"
            try await fixture.withHAProxy(checks, server: options) { ours, reference in
                for proxy in [ours, reference] {
                    for _ in 0..<6 { #expect(try await proxy.get().text != "web-3", "\(proxy.name)") }
                }
                try await fixture.backends[0].kill()
                try await fixture.backends[1].kill()
                for proxy in [ours, reference] {
                    _ = try await eventually("the backup behind \(proxy.name)") { try await proxy.get().text == "web-3" ? true : nil }
                    for _ in 0..<6 { #expect(try await proxy.get().text == "web-3", "\(proxy.name)") }
                }
                try await fixture.backends[0].start()
                for proxy in [ours, reference] {
                    _ = try await eventually("the primary behind \(proxy.name)") { try await proxy.get().text == "web-1" ? true : nil }
                    for _ in 0..<6 { #expect(try await proxy.get().text == "web-1", "\(proxy.name)") }
                }
            }
        }
    }

    /// `maxconn 2`: the third request waits until one of two is answered, and no longer; it is answered then, by whoever is free.
    @Test func whatIsAboveALimitWaitsItsTurn() async throws {
        try await BalancerFixture.with(
            [("web", "web-1")],
            configure: { configuration in
                configuration.pools[0].sticky = nil
                configuration.pools[0].servers[0].maxConnections = 2
            },
            script: { _, request in request.target.hasPrefix("/held") ? .silence : .ok(request.target) }
        ) { fixture in
            try await fixture.withHAProxy("  balance roundrobin", server: { _ in "maxconn 2" }) { ours, reference in
                for proxy in [ours, reference] {
                    let before = fixture.backends[0].requests.all.count
                    let held = [try await proxy.client(), try await proxy.client()]
                    for client in held { client.send("GET /held HTTP/1.1\r\nHost: a\r\n\r\n") }
                    try await fixture.backends[0].requests.until { $0.count == before + 2 }
                    let waiting = [try await proxy.client(), try await proxy.client()]
                    for client in waiting { client.send("GET /\(proxy.name) HTTP/1.1\r\nHost: a\r\n\r\n") }
                    try await proxy.untilQueued(2)
                    #expect(fixture.backends[0].requests.all.count == before + 2)
                    try await fixture.backends[0].push("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                    for client in held { #expect(try await client.response().status == 200, "\(proxy.name)") }
                    for client in waiting { #expect(try await client.response().text == "/\(proxy.name)", "\(proxy.name)") }
                    #expect(fixture.backends[0].requests.all.count == before + 4)
                    for client in held + waiting { client.close() }
                }
            }
        }
    }
}
