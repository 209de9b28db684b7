// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Glibc
import Reactor
import TestSupport
import Testing

/// The balancer's own answers: JSON or HTML, a pool's own pages, when to come again.
@Suite struct ErrorPageTests {
    private static let browser = "GET / HTTP/1.1\r\nHost: a\r\nAccept: text/html,*/*;q=0.8\r\n\r\n"
    private static let program = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

    private func withPage(_ text: String, _ body: (String) async throws -> Void) async throws {
        let folder = try TemporaryFolder("kv-pages")
        defer { folder.remove() }
        let path = folder.path + "/page.html"
        try #require(FileList.write(text, to: path))
        try await body(path)
    }

    @Test func poolsHaveTheirOwnPages() async throws {
        try await withPage("<h1>Back soon</h1>") { path in
            try await BalancerFixture.with(dead: ["web-1"], configure: { $0.pools[0].errorPages = [503: path] }) { fixture in
                let client = try await fixture.client()
                let page = try await client.request(Self.browser)
                #expect(page.status == 503 && page.text == "<h1>Back soon</h1>" && page.value("retry-after") == "1")
                #expect(page.value("content-type") == "text/html; charset=utf-8" && page.value("cache-control") == "no-store")
                let json = try await client.request(Self.program)
                #expect(json.status == 503 && json.value("content-type") == "application/problem+json" && json.value("retry-after") == "1")
                #expect(json.text.contains("\"code\":\"server_unreachable\""))
            }
        }
    }

    @Test func otherStatusesKeepTheDefaultPage() async throws {
        try await withPage("<h1>Back soon</h1>") { path in
            let configure: @Sendable (inout BalancerConfiguration) throws -> Void = { $0.pools[0].errorPages = [503: path] }
            try await BalancerFixture.with(configure: configure, script: { _, _ in .sendThenClose("nonsense\r\n\r\n") }) { fixture in
                let page = try await fixture.client().request(Self.browser)
                #expect(page.status == 502 && page.text.contains("<h1>502 Bad Gateway</h1>"))
            }
        }
    }

    /// A server's own error is its own.
    @Test func answersOfServersAreUntouched() async throws {
        try await withPage("<h1>Ours</h1>") { path in
            let configure: @Sendable (inout BalancerConfiguration) throws -> Void = { $0.pools[0].errorPages = [503: path] }
            let answer = BackendAction.send("HTTP/1.1 503 No\r\nContent-Length: 6\r\n\r\ntheirs")
            try await BalancerFixture.with(configure: configure, script: { _, _ in answer }) { fixture in
                let answer = try await fixture.client().request(Self.browser)
                #expect(answer.status == 503 && answer.text == "theirs")
            }
        }
    }

    @Test func pagesAreReadBeforeTheStart() async throws {
        var pool = PoolConfiguration(name: "web", servers: [])
        pool.errorPages = [503: "/nowhere/page.html"]
        var configuration = BalancerConfiguration(listeners: [Endpoint(host: "127.0.0.1", port: 0)], pools: [pool])
        #expect(throws: BalancerError.self) { try RouteTable(configuration) }
        configuration.pools[0].errorPages = [418: "/dev/null"]
        #expect(throws: BalancerError.self) { try configuration.validate() }
    }

    /// 431 comes of too many cookies, mostly in browsers.
    @Test func browsersGetHTMLForFaultsToo() async throws {
        try await BalancerFixture.with { fixture in
            let large = "X: " + String(repeating: "y", count: 40 << 10) + "\r\n"
            let page = try await fixture.client().request("GET / HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\n" + large)
            #expect(page.status == 431 && page.value("content-type") == "text/html; charset=utf-8")
        }
    }
}
