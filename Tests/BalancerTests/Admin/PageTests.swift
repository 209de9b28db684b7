// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Foundation
import TestSupport
import Testing

/// The pages, and what else is to be read.
@Suite struct PageTests {
    private static let pages = ["/stats", "/balancer-manager", "/server-status"]
    private static let readable =
        pages + [
            "/stats;csv", "/stats;json", "/server-status?auto", "/metrics", "/v1/servers", "/v1/servers/web/web-1", "/livez", "/readyz",
            "/health",
        ]

    @Test func eachIsThereWithItsLength() async throws {
        try await BalancerFixture.with { fixture in
            for path in Self.readable {
                let answer = try await fixture.ask("GET", path)
                #expect(answer.status == 200 && !answer.body.isEmpty, "\(path)")
                #expect(answer.value("cache-control") == "no-store" && answer.value("x-content-type-options") == "nosniff", "\(path)")
                let head = try await fixture.ask("HEAD", path)
                #expect(head.status == 200 && head.body.isEmpty && head.value("content-type") == answer.value("content-type"), "\(path)")
                let post = try await fixture.ask("PUT", path, body: "x")
                #expect(post.status == 405 && post.value("allow")?.hasPrefix("GET, HEAD") == true, "\(path)")
            }
            let home = try await fixture.ask("GET", "/")
            #expect(home.status == 303 && home.value("location") == "/stats")
            #expect(try await fixture.ask("GET", "/favicon.ico").status == 204)
        }
    }

    @Test func pagesForbidEverythingElse() async throws {
        try await BalancerFixture.with { fixture in
            for path in Self.pages {
                let page = try await fixture.ask("GET", path)
                let policy = try #require(page.value("content-security-policy"))
                #expect(
                    policy.contains("default-src 'none'") && policy.contains("style-src 'sha256-")
                        && policy.contains("frame-ancestors 'none'")
                )
                #expect(!policy.contains("unsafe") && !policy.contains("script-src"))
                #expect(!page.text.lowercased().contains("<script") && !page.text.contains("style=\"") && !page.text.contains("onclick"))
                #expect(page.text.contains("<html lang=\"en\">") && page.text.contains("scope=\"col\""))
                #expect(!page.text.lowercased().contains("keyvane"), "no page tells a product")
            }
            #expect(try await fixture.ask("GET", "/stats").text.contains("http-equiv=\"refresh\" content=\"10\""))
            // Or what one types would be gone.
            let manager = try await fixture.ask("GET", "/balancer-manager").text
            #expect(!manager.contains("http-equiv=\"refresh\""))
        }
    }

    @Test func unknownPathsAre404InTheClientsLanguage() async throws {
        try await BalancerFixture.with { fixture in
            for path in [
                "/other", "/stats;xml", "/v1/servers/web", "/v1/servers/web/web-1/x", "/stats/x", "/v1/reloads", "/balancer-managers",
            ] {
                let answer = try await fixture.ask("GET", path)
                #expect(answer.status == 404 && answer.value("content-type") == "application/problem+json", "\(path)")
                #expect(answer.text.contains("\"code\":\"not_found\""))
            }
            let page = try await fixture.ask("GET", "/<script>", fields: ["Accept: text/html"])
            #expect(page.status == 404 || page.status == 400)
            #expect(!page.text.contains("<script"))
        }
    }

    @Test func csvHasARowForEverything() async throws {
        try await BalancerFixture.with([("api", "api-1"), ("api", "api-2"), ("gateway", "gateway-1")]) { fixture in
            let client = try await fixture.client()
            for _ in 0..<4 { _ = try await client.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n") }
            let lines = try await fixture.ask("GET", "/stats;csv").text.split(separator: "\n").map(String.init)
            #expect(lines[0].hasPrefix("# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,"))
            let rows = lines.dropFirst().map { $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init) }
            let count = lines[0].split(separator: ",", omittingEmptySubsequences: false).count
            #expect(rows.allSatisfy { $0.count == count })
            let names = rows.map { "\($0[0])/\($0[1])" }
            let listener = "\(fixture.addresses.listeners[0])"
            #expect(names == ["\(listener)/FRONTEND", "api/api-1", "api/api-2", "api/BACKEND", "gateway/gateway-1", "gateway/BACKEND"])
            let columns = lines[0].dropFirst(2).split(separator: ",", omittingEmptySubsequences: false).map(String.init)
            let value: (String, Int) -> String = { column, row in rows[row][columns.firstIndex(of: column) ?? 0] }
            #expect(value("stot", 3) == "4" && value("hrsp_2xx", 3) == "4" && value("status", 3) == "UP" && value("type", 3) == "1")
            #expect(value("status", 0) == "OPEN" && value("req_tot", 0) == "4" && value("type", 0) == "0")
            #expect(value("status", 1) == "UP" && value("weight", 1) == "1" && value("type", 1) == "2" && value("sid", 1) == "1")
            #expect((Int(value("bin", 1)) ?? 0) > 20 && (Int(value("bout", 1)) ?? 0) > 20)
        }
    }

    @Test func jsonAndApachesText() async throws {
        try await BalancerFixture.with { fixture in
            let client = try await fixture.client()
            _ = try await client.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            let answer = try await fixture.ask("GET", "/stats;json")
            let object = try #require(try JSONSerialization.jsonObject(with: Data(answer.body)) as? [String: Any])
            let pools = try #require(object["pools"] as? [[String: Any]])
            #expect(pools[0]["name"] as? String == "web" && pools[0]["requests"] as? Int == 1)
            #expect((object["listeners"] as? [[String: Any]])?.first?["current"] as? Int == 1)
            let text = try await fixture.ask("GET", "/server-status?auto").text
            let lines = text.split(separator: "\n").map { $0.split(separator: ":", maxSplits: 1).map(String.init) }
            #expect(lines.allSatisfy { $0.count == 2 && $0[1].hasPrefix(" ") })
            let keys = lines.map { $0[0] }
            #expect(Array(keys.prefix(3)) == ["Total Accesses", "Total kBytes", "Uptime"])
            for key in ["ReqPerSec", "BytesPerSec", "BytesPerReq", "BusyWorkers", "IdleWorkers"] { #expect(keys.contains(key)) }
            #expect(text.hasPrefix("Total Accesses: 1\n") && text.contains("\nIdleWorkers: 1\n"))
            #expect(text.contains("ProxyBalancer[0]Worker[0]Status: Init Ok\n"))
        }
    }

    @Test func theDrainIsToldAndWatchable() async throws {
        try await BalancerFixture.with { fixture in
            await fixture.service.drain()
            let readiness = try await fixture.ask("GET", "/readyz")
            #expect(readiness.status == 503 && readiness.value("keyvane-state") == "draining")
            #expect(try await fixture.ask("GET", "/stats").text.contains("This balancer is draining"))
            #expect(try await fixture.ask("GET", "/stats;csv").text.contains(",STOP,"))
        }
    }
}
