// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Gateway
import Store
import TestSupport
import Testing

/// What happens before the upgrade, and the first message after it.
@Suite struct HandshakeTests {
    private func code(_ answer: PlainAnswer) -> String? {
        (try? JSONSerialization.jsonObject(with: Data(answer.body)) as? [String: Any])?["code"] as? String
    }

    private static let upgrade = [
        ("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ]

    /// The fields replace `Connection: close` of plain requests.
    private func ask(_ gateway: GatewayFixture, _ target: String, _ fields: [(String, String)]) async throws -> PlainAnswer {
        let socket = try RawSocket(port: gateway.port)
        let lines = fields.map { "\($0.0): \($0.1)\r\n" }.joined()
        socket.write("GET \(target) HTTP/1.1\r\nHost: gate.example\r\n\(lines)\r\n")
        socket.finishSending()
        let bytes = await socket.readToEnd()
        guard let answer = PlainAnswer(bytes) else { throw DeadlinePassed("an HTTP answer to \(target)") }
        return answer
    }

    @Test func tokensComeInFourWays() async throws {
        try await GatewayFixture.with { gateway in
            let token = try await gateway.token().text
            let clients = [
                try await gateway.connect("?environment=acme/web/production", token: token),
                try await gateway.connect("?environment=acme/web/production", token: nil, fields: [("x-keyshade-token", token)]),
                try await gateway.connect("?environment=acme/web/production&access_token=\(token)", token: nil),
                try await gateway.connect("?environment=acme/web/production", token: nil),
            ]
            clients[3].send(#"{"type":"authenticate","token":"\#(token)"}"#)
            for client in clients { _ = try await client.message("snapshot") }
            #expect(gateway.source.counts.authentications == 1)
        }
    }

    @Test func answersNameTheRequest() async throws {
        try await GatewayFixture.with { gateway in
            let root = [("Authorization", "Bearer \(GatewayFixture.rootToken)")]
            let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
            let parent = ("traceparent", "00-\(trace)-00f067aa0ba902b7-01")
            for (fields, status) in [(Self.upgrade + root, 101), (Self.upgrade, 101), (root + [("Accept", "text/html")], 426)] {
                let target = "/v1/watch?environment=acme/web/production"
                #expect(try await ask(gateway, target, fields + [("X-Request-Id", "mine-1"), parent]).fields["x-request-id"] == "mine-1")
                #expect(try await ask(gateway, target, fields + [parent]).fields["x-request-id"] == trace)
                let made = try await ask(gateway, target, fields + [("X-Request-Id", "two words")])
                #expect(made.status == status && made.fields["x-request-id"]?.wholeMatch(of: #/[0-9a-f]{32}/#) != nil)
            }
            let socketIO = try await ask(gateway, "/socket.io/?EIO=4&transport=websocket", Self.upgrade + [("X-Request-Id", "mine-2")])
            #expect(socketIO.status == 101 && socketIO.fields["x-request-id"] == "mine-2")
            #expect(try await ask(gateway, "/elsewhere", [("X-Request-Id", "mine-3")]).fields["x-request-id"] == "mine-3")
            #expect(try await ask(gateway, "/livez", [("Connection", "close")]).fields["x-request-id"] == nil)
        }
    }

    @Test func refusalsBeforeTheUpgrade() async throws {
        try await GatewayFixture.with { gateway in
            let writer = try await gateway.token([.write]).text
            let root = [("Authorization", "Bearer \(GatewayFixture.rootToken)")]
            let cases: [(String, [(String, String)], Int, String)] = [
                ("/v1/watch", Self.upgrade + [("Authorization", "Bearer wrong")], 401, "unauthorized"),
                ("/v1/watch", Self.upgrade + [("Authorization", "Basic eDp5")], 401, "unauthorized"),
                ("/v1/watch?access_token=kv_ab12cd34_x", Self.upgrade, 401, "unauthorized"),
                ("/v1/watch?environment=acme/web/nowhere", Self.upgrade + root, 404, "environment_not_found"),
                (
                    "/v1/watch?environment=other/web/production", Self.upgrade + [("Authorization", "Bearer \(writer)")], 404,
                    "environment_not_found"
                ),
                ("/v1/watch?environment=acme/web/production", Self.upgrade + [("Authorization", "Bearer \(writer)")], 403, "forbidden"),
                ("/v1/watch?environment=acme", Self.upgrade + root, 400, "bad_request"),
                ("/v1/watch?environment=a/b/c&environment=a/b/c", Self.upgrade + root, 400, "bad_request"),
                ("/v1/watch?since=3", Self.upgrade + root, 400, "bad_request"),
                ("/v1/watch?environment=acme/web/production&since=x", Self.upgrade + root, 400, "bad_request"),
                ("/v1/watch?environment=acme/web/production&names=A,,B", Self.upgrade + root, 400, "bad_request"),
                ("/v1/watch?acks=maybe", Self.upgrade + root, 400, "bad_request"),
                ("/v1/watch", Self.upgrade + root + [("Origin", "https://evil.example")], 403, "origin_not_allowed"),
                ("/v1/watch", root, 426, "upgrade_required"),
                (
                    "/v1/watch", [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "8"), Self.upgrade[3]],
                    426, "unsupported_websocket_version"
                ),
                ("/v1/watch", Array(Self.upgrade.dropLast()), 400, "bad_websocket_key"),
                ("/elsewhere", [], 404, "not_found"),
            ]
            for (target, fields, status, code) in cases {
                let answer = try await ask(gateway, target, fields)
                #expect(answer.status == status, "\(target)")
                #expect(self.code(answer) == code, "\(target)")
                #expect(answer.fields["content-type"] == "application/problem+json")
            }
            let post = try await PlainHTTP(port: gateway.port).call("POST", "/v1/watch")
            #expect(post.status == 405)
            #expect(gateway.service.connections == 0)
        }
    }

    @Test func pagesOfTheSameHostOrTheListMayConnect() async throws {
        try await GatewayFixture.with(configure: { $0.origins = .listed(["https://console.example"]) }) { gateway in
            for origin in ["https://console.example", "https://127.0.0.1", "http://127.0.0.1"] {
                let client = try await gateway.connect(fields: [("Origin", origin)])
                _ = try await client.message("ready")
                client.close()
            }
            let foreign = try await gateway.connect(fields: [("Origin", "https://console.example.evil")])
            guard case .refused(403, _) = try await foreign.end() else {
                Issue.record("a foreign page was let in")
                return
            }
        }
    }

    @Test func withoutATokenTheTimeIsShort() async throws {
        try await GatewayFixture.with(configure: {
            $0.authenticationDeadline = .milliseconds(300)
            $0.heartbeat = .seconds(2)
        }) { gateway in
            let silent = try await gateway.connect(token: nil)
            let end = try await silent.end()
            #expect(end == .closed(4408, "no token in time"))
            let eager = try await gateway.connect(token: nil)
            eager.send(#"{"type":"subscribe","environment":"acme/web/production"}"#)
            let refusal = try await eager.end()
            #expect(refusal == .closed(4401, "send 'authenticate' with a token first"))
            let wrong = try await gateway.connect(token: nil)
            wrong.send(#"{"type":"authenticate","token":"kv_ab12cd34_wrong"}"#)
            let second = try await wrong.end()
            #expect(second == .closed(4401, "the token is not valid"))
        }
    }

    @Test func aSlowHeadIsCutOff() async throws {
        try await GatewayFixture.with(configure: {
            $0.headDeadline = .milliseconds(200)
            $0.heartbeat = .seconds(2)
        }) { gateway in
            let socket = try RawSocket(port: gateway.port)
            socket.write("GET /v1/watch HTTP/1.1\r\nHost:")
            let rest = await socket.readToEnd()
            #expect(rest.isEmpty)
        }
    }

    @Test func theConnectionLimitHolds() async throws {
        try await GatewayFixture.with(configure: { $0.maximumConnections = 2 }) { gateway in
            let first = try await gateway.connect()
            let second = try await gateway.connect()
            for client in [first, second] { _ = try await client.message("ready") }
            let third = try await gateway.connect()
            guard case .refused(503, let body) = try await third.end() else {
                Issue.record("a third connection was let in")
                return
            }
            #expect(body.contains("too_many_connections"))
            first.close()
            _ = try await first.end()
            let connections = try await eventually("a free place") { gateway.service.connections == 1 ? 1 : nil }
            #expect(connections == 1)
            let fourth = try await gateway.connect()
            _ = try await fourth.message("ready")
        }
    }

    @Test func healthEndpoints() async throws {
        var hooks = GatewayHooks()
        hooks.metricsBody = { "gateway_connections 0\n" }
        try await GatewayFixture.with(hooks: hooks) { gateway in
            let http = PlainHTTP(port: gateway.port)
            let live = try await http.call("GET", "/livez")
            #expect(live.status == 200)
            let ready = try await http.call("GET", "/readyz")
            #expect(ready.status == 200)
            _ = try await eventually("Redis") {
                let answer = try await http.call("GET", "/health")
                return answer.text.contains(#""redis":true"#) ? true : nil
            }
            for path in ["/health", "/health/", "/api/v1/health"] {
                let health = try await http.call("GET", path)
                #expect(health.status == 200)
                #expect(health.fields["cache-control"] == "no-store")
                #expect(
                    health.text.hasPrefix(#"{"status":"healthy","role":"gateway","version":"0.0.0","instance":"gateway-1","database":true"#)
                )
            }
            let head = try await http.call("HEAD", "/health")
            #expect(head.status == 200)
            #expect(head.body.isEmpty)
            let metrics = try await http.call("GET", "/metrics")
            #expect(metrics.text == "gateway_connections 0\n")
            gateway.source.setAway(true)
            let away = try await http.call("GET", "/health")
            #expect(away.status == 503)
            #expect(away.text.hasPrefix(#"{"status":"unhealthy""#))
            let unready = try await http.call("GET", "/readyz")
            #expect(unready.status == 503)
            // Two requests on one connection, the second pipelined behind the first.
            let socket = try RawSocket(port: gateway.port)
            socket.write("GET /livez HTTP/1.1\r\nHost: x\r\n\r\nGET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            let both = String(decoding: await socket.readToEnd(), as: UTF8.self)
            #expect(both.components(separatedBy: "HTTP/1.1 ").count == 3)
        }
    }
}
