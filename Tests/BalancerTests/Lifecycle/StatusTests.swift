// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Reactor
import TestSupport
import Testing
import Wire

/// What the balancer says of itself.
@Suite struct StatusTests {
    private func get(_ path: String, method: String = "GET") -> String {
        "\(method) \(path) HTTP/1.1\r\nHost: localhost\r\n\r\n"
    }

    @Test func itsOwnPathsComeBeforeRoutes() async throws {
        try await BalancerFixture.with { fixture in
            let client = try await fixture.client()
            for path in ["/livez", "/readyz", "/health"] {
                let answer = try await client.request(get(path))
                #expect(answer.status == 200 && answer.value("content-type") == "application/json")
                #expect(answer.value("cache-control") == "no-store")
                #expect(try await client.request(get(path + "?x=y")).status == 200)
            }
            let health =
                "{\"status\":\"healthy\",\"role\":\"balancer\",\"instance\":\"balancer\",\"checks\":{\"web\":{\"ok\":true,\"up\":1,\"servers\":1}}}\n"
            #expect(try await client.request(get("/health")).text == health)
            #expect(try await client.request(get("/metrics")).status == 404)
            let head = try await client.request(get("/livez", method: "HEAD"), method: .head)
            #expect(head.status == 200 && head.body.isEmpty && head.value("content-length") != "0")
            let post = try await client.request(get("/livez", method: "POST"), method: .post)
            #expect(post.status == 405 && post.value("allow") == "GET, HEAD")
            #expect(fixture.backends[0].requests.all.isEmpty)
            #expect(try await client.request(get("/livezz")).status == 200)
            #expect(fixture.backends[0].requests.all.map(\.target) == ["/livezz"])
        }
    }

    @Test func theAdminListener() async throws {
        try await BalancerFixture.with([("api", "api-1"), ("gateway", "gateway-1")]) { fixture in
            let admin = try await fixture.admin()
            let metrics = try await admin.request(get("/metrics"))
            #expect(metrics.text == "# metrics\n" && metrics.value("content-type")?.hasPrefix("text/plain; version=0.0.4") == true)
            #expect(try await admin.request(get("/livez")).status == 200)
            #expect(try await admin.request(get("/readyz")).status == 200)
            let client = try await fixture.client()
            _ = try await client.request(get("/"))
            let servers = try await admin.request(get("/v1/servers")).text
            let address = try await fixture.backends[0].endpoint.description
            #expect(servers.contains("{\"pool\":\"api\",\"name\":\"api-1\",\"address\":\"\(address)\",\"state\":\"up\",\"weight\":1,"))
            #expect(servers.contains("\"requests\":1") && servers.contains("gateway-1"))
            // Nothing is proxied from here.
            #expect(try await admin.request(get("/other")).status == 404)
            #expect(try await admin.request(get("/v1/servers", method: "DELETE")).status == 405)
            #expect(fixture.backends[0].requests.all.count == 1)
        }
    }

    @Test func theTwoPoolsHaveTheirPaths() async throws {
        try await BalancerFixture.with([("api", "api-1"), ("gateway", "gateway-1")]) { fixture in
            let client = try await fixture.client()
            for (path, server) in [
                ("/v1/watch", "gateway-1"), ("/v1/watch?environment=a/b/c", "gateway-1"), ("/socket.io/?EIO=4", "gateway-1"),
                ("/v1/watchers", "api-1"), ("/", "api-1"), ("/v1/workspaces", "api-1"),
            ] {
                #expect(try await client.request(get(path)).text == server, "\(path)")
            }
        }
    }

    @Test func unroutedPathsAre404() async throws {
        let routes = [RouteConfiguration(host: "only.example", path: "/only", pool: "web")]
        try await BalancerFixture.with(configure: { $0.routes = routes }) { fixture in
            let client = try await fixture.client()
            #expect(try await client.request(get("/other")).status == 404)
            #expect(try await client.request("GET /only HTTP/1.1\r\nHost: only.example\r\n\r\n").status == 200)
        }
    }

    @Test func accessLogsHideTokens() async throws {
        try await BalancerFixture.with(configure: { $0.accessLog = AccessLogRule(.json) }) { fixture in
            let client = try await fixture.client()
            _ = try await client.request(get("/v1/watch?access_token=kv_secret&a=b&%61ccess_token=kv_secret;access%5Ftoken=kv_secret"))
            _ = try await client.request("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n")
            let lines = try await eventually("a log line") {
                let lines = fixture.log.all.filter { $0.hasPrefix("request ") }
                return lines.isEmpty ? nil : lines
            }
            #expect(lines[0].contains("path=/v1/watch?access_token=-&a=b&%61ccess_token=-&access%5Ftoken=-"))
            #expect(lines[0].contains("status=200") && lines[0].contains("server=web-1") && lines[0].contains("client=127.0.0.1"))
            #expect(!fixture.log.all.contains { $0.contains("kv_secret") })
        }
    }

    @Test func portsInUseAreAnError() async throws {
        try await BalancerFixture.with { fixture in
            var configuration = BalancerConfiguration(
                listeners: [Endpoint(host: "127.0.0.1", port: 0)],
                pools: [PoolConfiguration(name: "web", servers: [])]
            )
            // Balancers share addresses with their successors, but with nobody else.
            let taken = try ListenSocket.open(Endpoint(host: "127.0.0.1", port: 0))[0]
            configuration.admin = AdminConfiguration(bind: Endpoint(taken.address))
            let service = try BalancerService(configuration: configuration, loops: fixture.outer, logger: fixture.log.logger) { "" }
            await #expect(throws: BalancerError.self) { try await service.run() }
            await #expect(throws: BalancerError.self) { _ = try await service.listening() }
            withExtendedLifetime(taken) {}
        }
    }
}
