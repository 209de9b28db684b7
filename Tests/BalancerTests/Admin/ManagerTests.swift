// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Reactor
import TestSupport
import Testing

/// The forms of `/balancer-manager`.
@Suite struct ManagerTests {
    @Test func formsNeedTheirToken() async throws {
        try await BalancerFixture.with { fixture in
            let token = try await fixture.formToken()
            for wrong in ["", "token=", "token=x&", "token=\(token.dropLast())&", "token=\(token.reversed().map(String.init).joined())&"] {
                let answer = try await fixture.submit("\(wrong)&pool=web&server=web-1&state=maint")
                #expect(answer.status == 403 && answer.text.contains("\"code\":\"form_token_invalid\""), "\(wrong)")
            }
            #expect(try await fixture.serversDocument().contains("\"administrativeState\":\"ready\""))
            let json = try await fixture.ask("POST", "/balancer-manager", fields: ["Content-Type: application/json"], body: "{}")
            #expect(json.status == 415)
        }
    }

    @Test func buttonsAndFieldsChangeAServer() async throws {
        try await BalancerFixture.with([("web", "web-1"), ("web", "web-2")]) { fixture in
            let token = try await fixture.formToken()
            let drained = try await fixture.submit("token=\(token)&pool=web&server=web-2&state=drain")
            #expect(drained.status == 303 && drained.value("location") == "/balancer-manager?changed=web/web-2#web/web-2")
            try await fixture.untilServer("web-2", is: "drain")
            let page = try await fixture.ask("GET", "/balancer-manager?changed=web/web-2").text
            #expect(page.contains("web/web-2 was changed") && page.contains("role=\"status\""))
            // The one that is pressed tells which state it has.
            #expect(page.contains("value=\"drain\" aria-pressed=\"true\" aria-label=\"Drain web/web-2\""))
            let client = try await fixture.client()
            for _ in 0..<6 { #expect(try await client.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n").text == "web-1") }
            #expect(try await fixture.submit("token=\(token)&pool=web&server=web-2&weight=42&maxconn=9&route=second").status == 303)
            let server = try await fixture.ask("GET", "/v1/servers/web/web-2").text
            #expect(server.contains("\"weight\":42,") && server.contains("\"maxconn\":9,") && server.contains("\"route\":\"second\""))
            #expect(try await fixture.submit("token=\(token)&pool=web&server=web-2&route=").status == 303)
            #expect(try await fixture.ask("GET", "/v1/servers/web/web-2").text.contains("\"route\":null"))
            #expect(try await fixture.submit("token=\(token)&pool=web&server=web-2&state=ready").status == 303)
            try await fixture.untilServer("web-2", is: "up")
        }
    }

    @Test func wrongValuesComeBackEscaped() async throws {
        try await BalancerFixture.with { fixture in
            let token = try await fixture.formToken()
            let attack = "%3Cscript%3Ealert(1)%3C/script%3E"
            for (values, status) in [
                ("pool=web&server=web-1&state=\(attack)", 422), ("pool=web&server=web-1&weight=\(attack)", 422),
                ("pool=web&server=web-1&weight=257", 422), ("pool=web&server=web-1&weight=-1", 422),
                ("pool=web&server=web-1&maxconn=-1", 422),
                ("pool=web&server=web-1&maxconn=\(attack)", 422), ("pool=web&server=web-1&route=\(attack)", 422),
                ("pool=\(attack)&server=web-1&state=drain", 404), ("pool=web&server=\(attack)&state=drain", 404),
            ] {
                let answer = try await fixture.submit("token=\(token)&\(values)")
                #expect(answer.status == status && answer.text.contains("role=\"alert\""), "\(values)")
                #expect(!answer.text.contains("<script") && !answer.text.contains("alert(1)</"), "\(values)")
            }
            // A link from elsewhere puts no words on the page.
            let page = try await fixture.ask("GET", "/balancer-manager?changed=\(attack)").text
            #expect(!page.contains("was changed") && !page.contains("alert(1)"))
            #expect(try await fixture.serversDocument().contains("\"weight\":1,"))
        }
    }

    /// Whoever sends a form means something: silence would tell that it was done.
    @Test(arguments: [
        ("pool=web&server=web-1", "state: is missing"), ("pool=web&server=web-1&state=", "state: '' is none of"),
        ("pool=web&server=web-1&weight=", "weight: '' is no whole number"), ("pool=web&server=web-1&command=drain", "state: is missing"),
        ("server=web-1&state=drain", "pool: is missing"), ("pool=&server=web-1&state=drain", "pool: is missing"),
        ("pool=web&state=drain", "server: is missing"), ("pool=web&server=&state=drain", "server: is missing"), ("", "pool: is missing"),
    ])
    func aFormThatAsksForNothingIsRefused(_ values: String, _ fault: String) async throws {
        try await BalancerFixture.with { fixture in
            let token = try await fixture.formToken()
            let answer = try await fixture.submit("token=\(token)&\(values)")
            #expect(answer.status == 422 && answer.text.contains("role=\"alert\""))
            #expect(answer.text.replacing("&#39;", with: "'").contains("Nothing was changed: \(fault)"), "\(answer.text.suffix(4000))")
        }
    }

    @Test func oneWrongValueLeavesTheOthersUnchanged() async throws {
        try await BalancerFixture.with { fixture in
            let token = try await fixture.formToken()
            let answer = try await fixture.submit("token=\(token)&pool=web&server=web-1&weight=42&maxconn=-1&route=r")
            #expect(answer.status == 422 && answer.text.contains("Nothing was changed"))
            let server = try await fixture.ask("GET", "/v1/servers/web/web-1").text
            #expect(server.contains("\"weight\":1,") && server.contains("\"route\":null"))
        }
    }

    /// `Requests` is what there was in all, everywhere else.
    @Test func aColumnIsCalledByWhatItCounts() async throws {
        try await BalancerFixture.with { fixture in
            let manager = try await fixture.ask("GET", "/balancer-manager").text
            let statistics = try await fixture.ask("GET", "/stats").text
            for page in [manager, statistics] {
                #expect(page.contains("<th scope=\"col\">Running</th><th scope=\"col\">Tunnels</th>"))
            }
            #expect(!manager.contains(">Requests</th>"))
        }
    }

    @Test func addressesMayBreakAtSlashesOnly() async throws {
        let long = "unix:/run/keyvane/instances/web.sock"
        try await BalancerFixture.with(
            configure: { configuration in
                configuration.pools[0].servers.append(ServerConfiguration(name: "web-2", address: try Endpoint(parsing: long)))
                configuration.pools[0].servers.append(
                    ServerConfiguration(name: "web-3", address: Endpoint(host: "2001:db8::5", port: 8080))
                )
            }
        ) { fixture in
            for page in ["/balancer-manager", "/stats"] {
                let text = try await fixture.ask("GET", page).text
                #expect(
                    text.contains("<small class=\"address\">unix:/<wbr>run/<wbr>keyvane/<wbr>instances/<wbr>web.sock</small>"),
                    "\(page)"
                )
                #expect(text.contains("<small class=\"address\">[2001:db8::5]:8080</small>"), "\(page)")
            }
        }
    }
}
