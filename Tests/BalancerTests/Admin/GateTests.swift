// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Foundation
import Reactor
import TestSupport
import Testing

/// Who may see and change what.
@Suite struct GateTests {
    @Test func loopbackNamesOnlyWhereThereAreNoUsers() async throws {
        try await BalancerFixture.with { fixture in
            for host in ["localhost", "localhost:9100", "127.0.0.1", "127.0.0.1:80", "127.9.8.7:80", "[::1]", "[::1]:9100", "LocalHost:1"] {
                #expect(try await fixture.ask("GET", "/stats", host: host).status == 200, "\(host)")
            }
            for host in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1:9100", "[::2]", "localhost:x"] {
                let answer = try await fixture.ask("GET", "/stats", host: host)
                #expect(answer.status == 403 || answer.status == 400, "\(host)")
                #expect(try await fixture.ask("GET", "/metrics", host: host).status != 200, "\(host)")
            }
            // Whoever restarts us asks by whatever name.
            #expect(try await fixture.ask("GET", "/livez", host: "balancer.internal").status == 200)
        }
    }

    @Test func otherSitesChangeNothing() async throws {
        try await BalancerFixture.with { fixture in
            let type = "Content-Type: application/json"
            for fields in [
                ["Origin: https://evil.example"], ["Origin: null"], ["Sec-Fetch-Site: cross-site"], ["Sec-Fetch-Site: same-site"],
                ["Origin: http://localhost.evil.example"], ["Origin: http://localhost:1"],
            ] {
                let answer = try await fixture.ask("PATCH", "/v1/servers/web/web-1", fields: fields + [type], body: "{\"weight\":7}")
                #expect(answer.status == 403 && answer.text.contains("\"code\":\"cross_site\""), "\(fields)")
            }
            #expect(try await fixture.serversDocument().contains("\"weight\":1,"))
            for fields in [[], ["Origin: http://localhost"], ["Sec-Fetch-Site: same-origin"], ["Sec-Fetch-Site: none"]] {
                let answer = try await fixture.ask("PATCH", "/v1/servers/web/web-1", fields: fields + [type], body: "{\"weight\":7}")
                #expect(answer.status == 200, "\(fields)")
            }
        }
    }

    @Test func usersShowTheirPasswords() async throws {
        try await BalancerFixture.withUsers { fixture in
            for path in ["/stats", "/balancer-manager", "/metrics", "/v1/servers", "/server-status?auto", "/"] {
                let answer = try await fixture.ask("GET", path)
                #expect(answer.status == 401 && answer.value("www-authenticate")?.hasPrefix("Basic realm=") == true, "\(path)")
                #expect(try await fixture.ask("GET", path, fields: [basic("eve", "look")]).status < 400, "\(path)")
                #expect(try await fixture.ask("GET", path, fields: [basic("ops", "change")]).status < 400, "\(path)")
            }
            for probe in ["/livez", "/readyz", "/health"] { #expect(try await fixture.ask("GET", probe).status == 200) }
            // Any name leads here: the password is what counts.
            #expect(try await fixture.ask("GET", "/stats", fields: [basic("eve", "look")], host: "balancer.internal").status == 200)
        }
    }

    @Test(arguments: [
        basic("eve", "Look"), basic("eve", "look "), basic("eve", ""), basic("eve", "look\nsecond line"), basic("mallory", "look"),
        basic("", ""),
        basic("ops", "look"), "Authorization: Bearer look", "Authorization: Basic", "Authorization: Basic !!!", "Authorization: Basic ZXZl",
    ])
    func wrongOnesAreRefused(_ field: String) async throws {
        try await BalancerFixture.withUsers { fixture in
            let answer = try await fixture.ask("GET", "/stats", fields: [field])
            #expect(answer.status == 401)
        }
    }

    @Test func viewersChangeNothing() async throws {
        try await BalancerFixture.withUsers { fixture in
            let eve = basic("eve", "look")
            let type = "Content-Type: application/json"
            let attempts = [
                ("PATCH", "/v1/servers/web/web-1", "{\"weight\":7}"), ("DELETE", "/v1/servers/web/web-1", ""),
                ("POST", "/v1/servers", "{}"),
                ("POST", "/v1/reload", ""), ("POST", "/balancer-manager", ""),
            ]
            for (method, path, body) in attempts {
                let answer = try await fixture.ask(method, path, fields: [eve, type], body: body)
                #expect(answer.status == 403 && answer.text.contains("\"code\":\"operator_only\""), "\(method) \(path)")
            }
            let page = try await fixture.ask("GET", "/balancer-manager", fields: [eve]).text
            #expect(page.contains("web-1") && !page.contains("<form") && !page.contains("<button"))
            let ops = basic("ops", "change")
            #expect(try await fixture.ask("PATCH", "/v1/servers/web/web-1", fields: [ops, type], body: "{\"weight\":7}").status == 200)
        }
    }

    @Test func aTokenIsItsUsersOwn() async throws {
        let eve = basic("eve", "look")
        try await BalancerFixture.withUsers { fixture in
            let ops = basic("ops", "change")
            let token = try await fixture.formToken(fields: [ops])
            #expect(try await fixture.submit("token=\(token)&pool=web&server=web-1&state=maint", fields: [eve]).status == 403)
            #expect(try await fixture.submit("token=\(token)&pool=web&server=web-1&state=maint", fields: [ops]).status == 303)
        }
    }

    @Test func guessingIsSlowed() async throws {
        try await BalancerFixture.withUsers { fixture in
            for _ in 0..<LoginThrottle.attempts {
                #expect(try await fixture.ask("GET", "/stats", fields: [basic("ops", "guess")]).status == 401)
            }
            let answer = try await fixture.ask("GET", "/stats", fields: [basic("ops", "change")])
            // On a machine so slow that one attempt was earned back meanwhile, the next wrong one spends it.
            guard answer.status == 200 else {
                #expect(answer.status == 429 && (Int(answer.value("retry-after") ?? "") ?? 0) > 0)
                return
            }
        }
    }

    /// Each address stays below its own limit; together they run into the name's. Who was there before is not kept out.
    @Test func guessingFromManyAddressesIsSlowed() async throws {
        try await BalancerFixture.withUsers { fixture in
            #expect(try await fixture.ask("GET", "/stats", fields: [basic("ops", "change")]).status == 200)
            let url = "http://127.0.0.1:\(fixture.addresses.admin?.port ?? 0)/stats"
            func statuses(_ user: String, from addresses: ClosedRange<Int>, times: Int) async throws -> [Substring] {
                let script = """
                    for last in $(seq \(addresses.lowerBound) \(addresses.upperBound)); do for time in $(seq \(times)); do
                        curl -s -o /dev/null -w '%{http_code} ' --interface 127.0.0.$last -u "$1" "$2"
                    done; done
                    """
                return try await ForeignClient.run(["/bin/sh", "-c", script, "guess", user, url]).text.split(separator: " ")
            }
            let guesses = try await statuses("ops:guess", from: 2...8, times: LoginThrottle.attempts)
            #expect(guesses.prefix(LoginThrottle.attemptsOfName).allSatisfy { $0 == "401" }, "\(guesses)")
            #expect(guesses.suffix(10).contains("429"), "\(guesses)")
            // Others are not touched.
            #expect(try await statuses("eve:look", from: 30...30, times: 1) == ["200"])
            let right = try await statuses("ops:change", from: 30...30, times: 1)
            #expect(right == ["429"] || right == ["200"], "on a machine so slow that an attempt was earned back")
            #expect(try await fixture.ask("GET", "/stats", fields: [basic("ops", "change")]).status == 200)
        }
    }

    @Test func attemptsComeBack() {
        var throttle = LoginThrottle()
        for _ in 0..<LoginThrottle.attempts {
            #expect(throttle.wait(of: "a", at: 1000) == nil)
            throttle.failed("a", at: 1000)
        }
        #expect(throttle.wait(of: "a", at: 1000) == 6)
        #expect(throttle.wait(of: "a", at: 6999) == 1)
        #expect(throttle.wait(of: "b", at: 1000) == nil)
        #expect(throttle.wait(of: "a", at: 7000) == nil)
        throttle.failed("a", at: 7000)
        #expect(throttle.wait(of: "a", at: 7000) != nil)
        #expect(throttle.wait(of: "a", at: 1000 + LoginThrottle.refill * 100) == nil)
        // An attacker's many addresses leave it bounded, and forget none that is fresh before an older one.
        for number in 0..<10_000 { throttle.failed("address \(number)", at: 2_000_000 + UInt64(number)) }
        for _ in 0..<LoginThrottle.attempts { throttle.failed("last", at: 2_010_000) }
        #expect(throttle.wait(of: "last", at: 2_010_000) != nil)
    }

    @Test func passwordFilesThatAreNone() async throws {
        let folder = try TemporaryFolder("kv-users")
        defer { folder.remove() }
        try "\nsecret\n".write(toFile: folder.path + "/empty", atomically: true, encoding: .utf8)
        for file in [folder.path + "/empty", folder.path + "/missing"] {
            let user = AdminConfiguration.User(name: "ops", passwordFile: file, role: .operator)
            await #expect(throws: BalancerError.self) {
                try await BalancerFixture.with(configure: { $0.admin?.users = [user] }) { _ in }
            }
        }
    }
}
