// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import TestSupport
import Testing

/// `cookie SERVERID insert indirect nocache` of HAProxy, and ours.
@Suite struct CookieReferenceTests {
    private static let pools = [("web", "web-1"), ("web", "web-2")]
    private static let haproxy = "  balance roundrobin\n  cookie SERVERID insert indirect nocache"

    /// What the servers see of a client's cookies, byte for byte.
    @Test func serversSeeTheSameCookies() async throws {
        let lines = [
            "STICKY", "a=1; STICKY", "STICKY; a=1", "a=1; STICKY; b=2", "a=1; b=2", "a=1;b=2", "a=1; xSTICKY=2; STICKY",
            "a=\"x y\"; STICKY",
            "a=1; STICKY; b=\"1, 2\"", "theme=dark; STICKY; empty=; last", "xSTICKY; STICKYx=1; STICKY",
        ]
        try await BalancerFixture.with(Self.pools) { fixture in
            try await fixture.withHAProxy(Self.haproxy) { ours, reference in
                var seen: [[String: [String]]] = []
                for proxy in [ours, reference] {
                    let pin = try await proxy.pin(to: "web-2")
                    for (index, line) in lines.enumerated() {
                        let text = line.replacing("STICKYx", with: "\(proxy.cookie)x").replacing("xSTICKY", with: "x\(proxy.cookie)")
                        let answer = try await proxy.get("/\(proxy.name)/\(index)", cookie: text.replacing("STICKY", with: pin))
                        if line.hasSuffix("STICKY") { #expect(answer.text == "web-2", "\(proxy.name), \(line)") }
                    }
                    let requests = fixture.backends.flatMap(\.requests.all).filter { $0.target.hasPrefix("/\(proxy.name)/") }
                    let cookies = requests.map { request in
                        (
                            String(request.target.split(separator: "/")[1]),
                            request.values("cookie").map { $0.replacing(proxy.cookie, with: "STICKY").replacing(pin, with: "STICKY") }
                        )
                    }
                    seen.append(Dictionary(cookies) { $0 + $1 })
                }
                #expect(seen[0].count == lines.count)
                #expect(seen[0] == seen[1])
            }
        }
    }

    /// What a client is told: the cookie once, not again while it is valid, again where it leads nowhere; caching only then.
    @Test(arguments: ["", "Cache-Control: public, max-age=60\r\n", "Set-Cookie: session=1; Path=/\r\n", "Cache-Control: no-store\r\n"])
    func clientsAreToldTheSame(_ fields: String) async throws {
        try await BalancerFixture.with(Self.pools, script: { name, _ in .ok(name, fields: fields) }) { fixture in
            try await fixture.withHAProxy(Self.haproxy) { ours, reference in
                var answers: [[TestResponse]] = []
                for proxy in [ours, reference] {
                    let pin = try await proxy.pin(to: "web-1")
                    var own: [TestResponse] = []
                    for cookie in [nil, pin, "a=1; \(pin)", "a=1", "\(proxy.cookie)=forged", "\(proxy.cookie)="] {
                        own.append(try await proxy.get(cookie: cookie))
                    }
                    answers.append(own)
                }
                for (own, other) in zip(answers[0], answers[1]) {
                    #expect(ours.told(own, ["set-cookie"]).sorted() == reference.told(other, ["set-cookie"]).sorted())
                    let (caching, otherCaching) = (own.values("cache-control"), other.values("cache-control"))
                    guard own.cookie(ours.cookie) != nil else {
                        #expect(caching == otherCaching)
                        continue
                    }
                    // HAProxy adds a line beside a contradicting one, and none where a cache may store by heuristics alone; we do better.
                    if otherCaching.contains("private") || otherCaching.isEmpty { #expect(caching.joined().contains("private")) }
                    #expect(!caching.joined().contains("public"))
                }
            }
        }
    }

    /// A pinned server that refuses connections: another one answers, and the cookie is replaced.
    @Test func aDeadPinIsRedispatched() async throws {
        try await BalancerFixture.with(Self.pools) { fixture in
            try await fixture.withHAProxy(Self.haproxy) { ours, reference in
                let pins = [try await ours.pin(to: "web-1"), try await reference.pin(to: "web-1")]
                try await fixture.backends[0].kill()
                for (proxy, pin) in zip([ours, reference], pins) {
                    let answer = try await proxy.get(cookie: "a=1; \(pin)")
                    #expect(answer.status == 200 && answer.text == "web-2", "\(proxy.name)")
                    let renewed = try #require(answer.cookie(proxy.cookie), "\(proxy.name)")
                    #expect("\(proxy.cookie)=\(renewed)" != pin)
                    #expect(try await proxy.get(cookie: "\(proxy.cookie)=\(renewed)").text == "web-2")
                }
            }
        }
    }
}
