// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Foundation
import Reactor
import TestSupport
import Testing

/// `/v1/servers` and `/v1/reload`.
@Suite struct ServersResourceTests {
    @Test func everyValueCanBeChanged() async throws {
        try await BalancerFixture.with([("web", "web-1"), ("web", "web-2")]) { fixture in
            let answer = try await fixture.patch("web/web-2", "{\"weight\": 9, \"maxconn\": 3, \"route\": \"b\", \"state\": \"drain\"}")
            #expect(answer.status == 200)
            for part in [
                "\"weight\":9,", "\"maxconn\":3,", "\"route\":\"b\"", "\"administrativeState\":\"drain\"", "\"drain\":{\"exchangesLeft\":0",
            ] {
                #expect(answer.text.contains(part), "\(part) in \(answer.text)")
            }
            #expect(try await fixture.ask("GET", "/v1/servers/web/web-2").text.contains("\"state\":\"drain\""))
            #expect(try await fixture.patch("web/web-2", "{\"state\":\"ready\",\"route\":null,\"maxconn\":0,\"weight\":0}").status == 200)
            let after = try await fixture.ask("GET", "/v1/servers/web/web-2").text
            #expect(after.contains("\"route\":null") && after.contains("\"maxconn\":0,") && after.contains("\"weight\":0,"))
            #expect(try await fixture.patch("web/web-2", "{}").status == 200)
            // Names may come encoded.
            #expect(try await fixture.ask("GET", "/v1/servers/web/web%2D2").status == 200)
        }
    }

    @Test(arguments: [
        ("{\"weight\":257}", "/weight"), ("{\"weight\":-1}", "/weight"), ("{\"weight\":1.5}", "/weight"), ("{\"weight\":\"7\"}", "/weight"),
        ("{\"weight\":true}", "/weight"), ("{\"weight\":null}", "/weight"), ("{\"maxconn\":-1}", "/maxconn"),
        ("{\"maxconn\":[]}", "/maxconn"),
        ("{\"state\":\"down\"}", "/state"), ("{\"state\":1}", "/state"), ("{\"state\":\"<script>\"}", "/state"),
        ("{\"route\":\"a b\"}", "/route"), ("{\"route\":\"\"}", "/route"), ("{\"route\":7}", "/route"), ("{\"wieght\":7}", "/wieght"),
        ("{\"weight\":7,\"state\":\"x\"}", "/state"),
    ])
    func faultsAreNamed(_ body: String, _ pointer: String) async throws {
        try await BalancerFixture.with { fixture in
            let answer = try await fixture.patch("web/web-1", body)
            #expect(answer.status == 422 && answer.value("content-type") == "application/problem+json")
            let object = try #require(try JSONSerialization.jsonObject(with: Data(answer.body)) as? [String: Any])
            #expect(object["code"] as? String == "invalid" && object["status"] as? Int == 422)
            let faults = try #require(object["errors"] as? [[String: String]])
            #expect(faults.contains { $0["pointer"] == pointer && $0["detail"]?.isEmpty == false }, "\(answer.text)")
            #expect(try await fixture.serversDocument().contains("\"weight\":1,"), "nothing was changed")
        }
    }

    @Test func bodiesThatAreNone() async throws {
        try await BalancerFixture.with { fixture in
            for body in ["", "{", "[]", "7", "\"x\"", "{\"weight\":}", "weight=7", "{\"a\":\"\\ud800\"}"] {
                let answer = try await fixture.patch("web/web-1", body)
                #expect(answer.status == 400 || answer.status == 422, "\(body)")
            }
            let form = try await fixture.ask("PATCH", "/v1/servers/web/web-1", fields: ["Content-Type: text/plain"], body: "{\"weight\":7}")
            #expect(form.status == 415 && form.text.contains("application/json"))
            let large = try await fixture.patch("web/web-1", "{\"route\":\"\(String(repeating: "a", count: 70_000))\"}")
            #expect(large.status == 413 && large.value("connection") == "close")
            #expect(
                try await fixture.patch("web/web-1", "{\"weight\":7,\"route\":\"\(String(repeating: "a", count: 60_000))\"}").status == 422
            )
        }
    }

    @Test func bodiesMayComeInPieces() async throws {
        try await BalancerFixture.with { fixture in
            let client = try await fixture.admin()
            let head = "PATCH /v1/servers/web/web-1 HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            for (number, pieces) in [
                [head, "Transfer-Encoding: chunked\r\n\r\n", "5\r\n{\"wei", "\r\n8\r\nght\":11}\r\n", "0\r\n\r\n"],
                [head + "Content-Length: 13\r\nExpect: 100-continue\r\n\r\n", "{\"weight", "\":12}"],
            ].enumerated() {
                for piece in pieces { client.send(piece) }
                var answer = try await client.response()
                if answer.status == 100 { answer = try await client.response() }
                #expect(answer.status == 200 && answer.text.contains("\"weight\":\(11 + number),"))
            }
            // The next request of a connection, sent along with the first one.
            client.send("\(head)Content-Length: 13\r\n\r\n{\"weight\":13}GET /v1/servers/web/web-1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            #expect(try await client.response().text.contains("\"weight\":13,"))
            #expect(try await client.response().text.contains("\"weight\":13,"))
            client.send("GET /stats HTTP/1.1\r\nHost: a, b\r\n\r\n")
            #expect(try await client.response().status == 400)
            try await client.untilEnd()
        }
    }

    @Test func unknownNamesAreToldWithThoseThatExist() async throws {
        try await BalancerFixture.with([("api", "api-1"), ("gateway", "gateway-1")]) { fixture in
            for method in ["GET", "PATCH", "DELETE"] {
                let fields = ["Content-Type: application/json"]
                let server = try await fixture.ask(method, "/v1/servers/api/api-9", fields: fields, body: "{}")
                #expect(server.status == 404 && server.text.contains("api-1") && server.text.contains("\"code\":\"unknown_server\""))
                let pool = try await fixture.ask(method, "/v1/servers/web/api-1", fields: fields, body: "{}")
                #expect(pool.status == 404 && pool.text.contains("api, gateway") && pool.text.contains("\"code\":\"unknown_pool\""))
            }
        }
    }

    @Test func serversComeAndGo() async throws {
        try await BalancerFixture.with(
            [("web", "web-1"), ("spare", "spare-1")],
            configure: {
                $0.routes = [RouteConfiguration(path: "/", pool: "web")]
            }
        ) { fixture in
            let address = try await fixture.backends[1].endpoint.description
            let body = "{\"pool\":\"web\",\"name\":\"new\",\"address\":\"\(address)\",\"weight\":2,\"maxconn\":50,\"backup\":false}"
            let added = try await fixture.add(body)
            #expect(added.status == 201 && added.value("location") == "/v1/servers/web/new" && added.text.contains("\"origin\":\"added\""))
            _ = try await eventually("traffic at the new server") {
                let client = try await fixture.client()
                defer { client.close() }
                return try await client.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n").text == "spare-1" ? true : nil
            }
            #expect(try await fixture.add(body).status == 409)
            let removed = try await fixture.ask("DELETE", "/v1/servers/web/new")
            #expect(removed.status == 204 && removed.body.isEmpty)
            #expect(try await fixture.ask("DELETE", "/v1/servers/web/new").status == 404)
            let client = try await fixture.client()
            for _ in 0..<4 { #expect(try await client.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n").text == "web-1") }
        }
    }

    @Test(arguments: [
        ("{}", "/pool"), ("{\"pool\":\"web\",\"name\":\"x\"}", "/address"), ("{\"pool\":\"web\",\"address\":\"127.0.0.1:1\"}", "/name"),
        ("{\"pool\":\"other\",\"name\":\"x\",\"address\":\"127.0.0.1:1\"}", "/pool"),
        ("{\"pool\":\"web\",\"name\":\"<b>x</b>\",\"address\":\"127.0.0.1:1\"}", "/name"),
        ("{\"pool\":\"web\",\"name\":\"x\",\"address\":\"nowhere\"}", "/address"),
        ("{\"pool\":\"web\",\"name\":\"x\",\"address\":\":80\"}", "/address"),
        ("{\"pool\":\"web\",\"name\":\"x\",\"address\":\"127.0.0.1:0\"}", "/address"),
        ("{\"pool\":\"web\",\"name\":\"x\",\"address\":\"unix:x\"}", "/address"),
        ("{\"pool\":\"web\",\"name\":\"x\",\"address\":\"127.0.0.1:1\",\"weight\":900}", "/weight"),
        ("{\"pool\":\"web\",\"name\":\"x\",\"address\":\"127.0.0.1:1\",\"maxconn\":-1}", "/maxconn"),
        ("{\"pool\":\"web\",\"name\":\"x\",\"address\":\"127.0.0.1:1\",\"route\":\"a/b\"}", "/route"),
        ("{\"pool\":\"web\",\"name\":\"x\",\"address\":\"127.0.0.1:1\",\"backup\":1}", "/backup"),
        ("{\"pool\":\"web\",\"name\":\"x\",\"address\":\"127.0.0.1:1\",\"port\":1}", "/port"),
    ])
    func additionsThatAreRefused(_ body: String, _ pointer: String) async throws {
        try await BalancerFixture.with { fixture in
            let answer = try await fixture.add(body)
            #expect(answer.status == 422 && answer.text.contains("\"pointer\":\"\(pointer)\""), "\(answer.text)")
            #expect(try await fixture.ask("GET", "/v1/servers/web/x").status == 404)
        }
    }

    @Test func withoutAFileNothingIsReloaded() async throws {
        try await BalancerFixture.with { fixture in
            let answer = try await fixture.ask("POST", "/v1/reload")
            #expect(answer.status == 409 && answer.text.contains("\"code\":\"no_configuration_file\"") && answer.text.contains("--config"))
        }
    }
}
