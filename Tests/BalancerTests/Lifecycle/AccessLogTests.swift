// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Reactor
import Synchronization
import TestSupport
import Testing
import Wire

/// What the access log tells, in both formats.
@Suite struct AccessLogTests {
    private static let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

    private static func log(_ format: AccessLogFormat, sample: Double = 1) -> @Sendable (inout BalancerConfiguration) throws -> Void {
        { $0.accessLog = AccessLogRule(format, sample: sample) }
    }

    private func lines(_ fixture: BalancerFixture, _ count: Int = 1) async throws -> [String] {
        try await eventually("\(count) log lines") {
            let lines = fixture.log.all.filter { $0.hasPrefix("request ") }
            return lines.count >= count ? lines : nil
        }
    }

    /// The parts of a line between blanks; the request is the rest.
    private func httplog(_ fixture: BalancerFixture, _ count: Int = 1) async throws -> [[String]] {
        try await lines(fixture, count).map { $0.dropFirst("request line=".count).split(separator: " ", maxSplits: 11).map(String.init) }
    }

    @Test func aRequestAsJSON() async throws {
        try await BalancerFixture.with(configure: Self.log(.json)) { fixture in
            let client = try await fixture.client()
            let first = try await client.request("POST /x?access_token=kv_secret&b HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody")
            let cookie = try #require(first.cookie("KEYVANE_WEB"))
            _ = try await client.request("GET / HTTP/1.1\r\nHost: a\r\nCookie: KEYVANE_WEB=\(cookie)\r\n\r\n")
            _ = try await client.request("GET / HTTP/1.1\r\nHost: a\r\nCookie: KEYVANE_WEB=forged\r\n\r\n")
            let lines = try await lines(fixture, 3)
            for part in [
                "client=127.0.0.1", "frontend=127.0.0.1:0", "pool=web", "server=web-1", "method=POST", "path=/x?access_token=-&b",
                "status=200", "version=HTTP/1.1", "cause=done", "sticky=inserted", "connectTime=", "responseTime=", "queueTime=",
                "duration=", "headTime=0.0", "bytes=", "received=",
            ] {
                #expect(lines[0].contains(part), "\(part) in \(lines[0])")
            }
            let id = try #require(try await fixture.backends[0].requests.first().value("x-request-id"))
            #expect(
                lines[0].contains("request-id=\(id)") && lines[0].contains("trace-id=\(id)") && !lines[0].contains("kv_secret")
                    && !lines[0].contains("reason=")
            )
            #expect(lines[1].contains("sticky=valid") && lines[2].contains("sticky=forged"))
        }
    }

    @Test func aRequestAsHAProxyWritesIt() async throws {
        try await BalancerFixture.with(configure: Self.log(.httplog)) { fixture in
            let client = try await fixture.client()
            let first = try await client.request("GET /a?b=\"c HTTP/1.1\r\nHost: a\r\n\r\n")
            let cookie = try #require(first.cookie("KEYVANE_WEB"))
            _ = try await client.request("HEAD /x HTTP/1.0\r\nHost: a\r\nCookie: KEYVANE_WEB=\(cookie)\r\n\r\n", method: .head)
            let lines = try await lines(fixture, 2)
            let shape =
                /^request line=127\.0\.0\.1:\d+ \[\d\d\/[A-Z][a-z][a-z]\/\d{4}:\d\d:\d\d:\d\d\.\d{3}\] 127\.0\.0\.1:0 web\/web-1 \d+\/\d+\/\d+\/\d+\/\d+ 200 \d+ - - --NI 1\/1\/1\/1\/0 0\/0 "GET \/a\?b=#22c HTTP\/1\.1"$/
            #expect(lines[0].firstMatch(of: shape) != nil, "\(lines[0])")
            #expect(lines[1].contains(" --VN ") && lines[1].hasSuffix("\"HEAD /x HTTP/1.0\""))
        }
    }

    @Test func linesGoWhereTheyAreTaken() async throws {
        let taken = Mutex<[String]>([])
        try await BalancerFixture.with(
            configure: Self.log(.httplog),
            writeAccessLine: { line in
                taken.withLock { $0.append(String(decoding: line, as: UTF8.self)) }
            }
        ) { fixture in
            _ = try await fixture.client().request(Self.get)
            let lines = try await eventually("a line") { () -> [String]? in
                let lines = taken.withLock { $0 }
                return lines.isEmpty ? nil : lines
            }
            #expect(lines[0].hasPrefix("127.0.0.1:") && lines[0].hasSuffix("\"GET / HTTP/1.1\"\n"))
            #expect(!fixture.log.all.contains { $0.hasPrefix("request ") })
        }
    }

    @Test func tunnelsAreLoggedAtTheirEnd() async throws {
        for format in [AccessLogFormat.json, .httplog] {
            try await BalancerFixture.with(configure: Self.log(format), script: { _, _ in .tunnel(greeting: "hello") }) { fixture in
                let client = try await fixture.client()
                client.send(WebSocketHandshake.request(target: "/v1/watch", host: "a", key: WebSocketHandshake.key((1, 2))))
                #expect(try await client.response().status == 101)
                client.send("0123456789")
                #expect(try await client.bytes(15) == Array("hello0123456789".utf8))
                #expect(!fixture.log.all.contains { $0.hasPrefix("request ") })
                client.finishSending()
                try await client.untilEnd()
                let line = try await lines(fixture)[0]
                if format == .json {
                    #expect(line.contains("status=101") && line.contains("received=") && line.contains("cause=done"))
                    let received = line.firstMatch(of: /received=(\d+)/).flatMap { Int($0.1) } ?? 0
                    let sent = line.firstMatch(of: /bytes=(\d+)/).flatMap { Int($0.1) } ?? 0
                    #expect(received == 10 && sent > 15 && sent < 500, "\(line)")
                } else {
                    #expect(line.contains(" 101 ") && line.contains(" --NI ") && line.contains(" 0/0/0/0/0 0/0 "), "\(line)")
                }
            }
        }
    }

    @Test(arguments: [
        ("dead", 503, "SC", "server_unreachable"), ("reset", 502, "SH", "server_failed"), ("nonsense", 502, "PH", "bad_response"),
        ("slow", 504, "sH", "response_timeout"), ("cut", 200, "SD", nil),
    ])
    func howRequestsEnd(_ what: String, _ status: Int, _ letters: String, _ reason: String?) async throws {
        let script: @Sendable (String, BackendRequest) -> BackendAction = { _, _ in
            switch what {
            case "reset": .reset
            case "nonsense": .sendThenClose("nonsense\r\n\r\n")
            case "slow": .silence
            default: .sendThenClose("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
            }
        }
        for format in [AccessLogFormat.json, .httplog] {
            let configure: @Sendable (inout BalancerConfiguration) throws -> Void = { configuration in
                configuration.accessLog = AccessLogRule(format, sample: 0)
                if what == "slow" { configuration.limits.response = .milliseconds(300) }
            }
            try await BalancerFixture.with(dead: what == "dead" ? ["web-1"] : [], configure: configure, script: script) { fixture in
                let client = try await fixture.client()
                client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
                // Failures are logged whatever the sample.
                let line = try await lines(fixture)[0]
                if format == .httplog {
                    #expect(line.contains(" \(status) ") && line.contains(" - - \(letters)"), "\(line)")
                    if what == "dead" { #expect(line.contains(" web/web-1 0/0/-1/-1/") || line.contains(" web/<NOSRV> 0/"), "\(line)") }
                } else {
                    #expect(line.contains("status=\(status)"))
                    if let reason { #expect(line.contains("reason=\(reason)")) }
                }
            }
        }
    }

    @Test func clientsThatLeaveAndHeadsThatAreNone() async throws {
        try await BalancerFixture.with(configure: Self.log(.httplog), script: { _, _ in .silence }) { fixture in
            let client = try await fixture.client()
            client.send(Self.get)
            _ = try await fixture.backends[0].requests.first()
            client.reset()
            let other = try await fixture.client()
            _ = try await other.request("GET / HTTP/1.1\r\nHost : a\r\n\r\n")
            let lines = try await lines(fixture, 2).sorted()
            #expect(lines.contains { $0.contains(" -1 0 - - CHN- ") })
            #expect(lines.contains { $0.contains("<NOSRV> -1/-1/-1/-1/0 400 ") && $0.contains(" PR-- ") && $0.hasSuffix("\"<BADREQ>\"") })
        }
    }

    /// What the balancer answers itself before any route: redirects and refusals, but no probes.
    @Test func itsOwnAnswers() async throws {
        for format in [AccessLogFormat.json, .httplog] {
            let configure: @Sendable (inout BalancerConfiguration) throws -> Void = { configuration in
                configuration.accessLog = AccessLogRule(format)
                configuration.listeners[0].redirectHTTPS = 301
            }
            try await BalancerFixture.with(configure: configure) { fixture in
                let client = try await fixture.client()
                for (request, status) in [
                    ("GET /livez", 200), ("GET /metrics", 404), ("POST /health", 405), ("GET /a?access_token=kv_secret", 301),
                ] {
                    #expect(try await client.request("\(request) HTTP/1.1\r\nHost: a\r\n\r\n").status == status)
                }
                let lines = try await lines(fixture, 3)
                let expected =
                    format == .json
                    ? [
                        ["status=404", "path=/metrics", "reason=not_found", "cause=refused"],
                        ["status=405", "method=POST", "path=/health", "reason=method_not_allowed"],
                        ["status=301", "path=/a?access_token=-", "cause=done", "pool=-", "client=127.0.0.1", "request-id="],
                    ]
                    : [
                        ["<NOSRV>", " 404 ", " PR-- ", "\"GET /metrics HTTP/1.1\""], [" 405 ", " PR-- ", "\"POST /health HTTP/1.1\""],
                        ["<NOSRV>", " 301 ", " LR-- ", "\"GET /a?access_token=- HTTP/1.1\""],
                    ]
                #expect(lines.count == 3)
                for (line, parts) in zip(lines, expected) {
                    for part in parts { #expect(line.contains(part), "\(part) in \(line)") }
                }
                let sent = lines[2].firstMatch(of: /(?:bytes=| 301 )(\d+)/).flatMap { Int($0.1) } ?? 0
                #expect(sent > 50)
            }
        }
    }

    @Test func samplesAndRoutes() async throws {
        let configure: @Sendable (inout BalancerConfiguration) throws -> Void = { configuration in
            configuration.accessLog = AccessLogRule(.json, sample: 0.3)
            var quiet = RouteConfiguration(path: "/quiet", pool: "web")
            quiet.accessLog = AccessLogRule(.off)
            var loud = RouteConfiguration(path: "/loud", pool: "web")
            loud.accessLog = AccessLogRule(.json)
            configuration.routes = [quiet, loud, RouteConfiguration(path: "/", pool: "web")]
        }
        try await BalancerFixture.with(configure: configure) { fixture in
            let client = try await fixture.client()
            for path in ["/quiet", "/loud", "/"] {
                for _ in 0..<200 { _ = try await client.request("GET \(path) HTTP/1.1\r\nHost: a\r\n\r\n") }
            }
            let lines = try await lines(fixture, 201)
            #expect(!lines.contains { $0.contains("path=/quiet ") } && lines.count { $0.contains("path=/loud ") } == 200)
            let sampled = lines.count { $0.contains("path=/ ") }
            #expect((20...120).contains(sampled), "\(sampled)")
        }
    }
}
