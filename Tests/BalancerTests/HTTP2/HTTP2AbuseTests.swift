// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Reactor
import TestSupport
import Testing

/// What only attackers do. Each ends the connection, and the next client finds the balancer well.
@Suite struct HTTP2AbuseTests {
    private static let calm: UInt32 = 11
    private static let protocolError: UInt32 = 1
    private static let floodsCounted = "balancer_rejected_total{reason=\"http2_flood\"}"

    private static func expect(
        _ code: UInt32,
        settings: [(UInt16, UInt32)] = [],
        sourceLocation: SourceLocation = #_sourceLocation,
        _ frames: [HTTP2Frame]
    ) async throws {
        // Limits by the second that a flood exceeds however slowly a busy machine lets it in.
        let strict: @Sendable (inout BalancerConfiguration) -> Void = {
            $0.limits.http2.resetsPerSecond = 10
            $0.limits.http2.controlFramesPerSecond = 50
            $0.limits.http2.glitchesPerSecond = 2
        }
        let script: @Sendable (String, BackendRequest) -> BackendAction = { _, request in request.target == "/slow" ? .silence : .ok() }
        try await BalancerFixture.withHTTP2(configure: strict, script: script) { fixture in
            let floods = RecordedMetrics.shared.value(Self.floodsCounted) ?? 0
            let client = try await HTTP2TestClient.connect(fixture, settings: settings)
            client.send(frames)
            try await client.untilEnd()
            // With more under way than is read after a GOAWAY, a reset may overtake it.
            let isHuge = frames.reduce(0) { $0 + $1.payload.count } > 64 << 10
            #expect(client.goAway?.code == code || client.goAway == nil && isHuge, sourceLocation: sourceLocation)
            let isCounted = (RecordedMetrics.shared.value(Self.floodsCounted) ?? 0) > floods
            #expect(isCounted || code != Self.calm, sourceLocation: sourceLocation)
            let other = try await HTTP2TestClient.connect(fixture)
            #expect(try await other.get(1).status == "200", sourceLocation: sourceLocation)
            // Nothing of the first one's is left: what it had asked for was given up.
            try await fixture.untilNothingRuns()
        }
    }

    private static func odd(_ index: Int) -> Int32 { Int32(index * 2 + 1) }

    @Test func rapidReset() async throws {
        let pairs = (0..<300).flatMap { [HTTP2Frame.headers(Self.odd($0), HTTP2TestClient.request("GET", "/slow")), .reset(Self.odd($0))] }
        try await Self.expect(Self.calm, pairs)
    }

    /// The client's faults make us do the resetting.
    @Test func madeYouReset() async throws {
        let pairs = (0..<300).flatMap {
            [HTTP2Frame.headers(Self.odd($0), HTTP2TestClient.request("GET", "/slow")), HTTP2Frame.windowUpdate(Self.odd($0), 0)]
        }
        try await Self.expect(Self.protocolError, pairs)
        let malformed = (0..<300).map { HTTP2Frame.headers(Self.odd($0), HTTP2TestClient.request("GET", "/", [("connection", "x")])) }
        try await Self.expect(Self.calm, malformed)
        let overflows = (0..<300).flatMap {
            [
                HTTP2Frame.headers(Self.odd($0), HTTP2TestClient.request("GET", "/slow")), .windowUpdate(Self.odd($0), 0x7FFF_FFFF),
            ]
        }
        try await Self.expect(Self.calm, overflows)
        // Bodies shorter than declared: ours to find.
        let short = (0..<300).flatMap {
            [
                HTTP2Frame.headers(Self.odd($0), HTTP2TestClient.request("POST", "/slow", [("content-length", "5")]), end: false),
                .data(Self.odd($0), "abc", end: true),
            ]
        }
        try await Self.expect(Self.calm, short)
    }

    @Test(arguments: [0, 1, 16_000])
    func continuationFlood(_ size: Int) async throws {
        let field = HTTP2Frame.block([("x", String(repeating: "y", count: 60))])
        let payload = Array(repeatElement(field, count: size / field.count + 1).joined().prefix(size))
        let frames = (0..<1000).map { _ in HTTP2Frame(type: 9, stream: 1, payload: payload) }
        try await Self.expect(
            Self.calm,
            [HTTP2Frame(type: 1, flags: 1, stream: 1, payload: HTTP2Frame.block(HTTP2TestClient.request()))] + frames
        )
    }

    /// A long field goes into the table once, and is named by a byte a hundred thousand times.
    @Test func headerBomb() async throws {
        let value = String(repeating: "v", count: 4000)
        let indexed: [UInt8] = [0x40] + HTTP2Frame.block([("x", value)]).dropFirst()
        let first = HTTP2Frame.block(HTTP2TestClient.request()) + indexed
        let payload = first + [UInt8](repeating: 0xBE, count: 16_000 - first.count)
        try await Self.expect(Self.calm, [HTTP2Frame(type: 1, flags: 5, stream: 1, payload: payload)])
    }

    private static let floods: [(String, [HTTP2Frame])] = [
        ("ping", Array(repeating: .ping(), count: 3000)), ("settings", Array(repeating: .settings([(3, 100)]), count: 3000)),
        ("priority", Array(repeating: HTTP2Frame(type: 2, stream: 1, payload: [0, 0, 0, 0, 1]), count: 3000)),
        ("window", Array(repeating: .windowUpdate(0, 1), count: 5000)),
        ("empty", [.headers(1, HTTP2TestClient.request("POST", "/slow"), end: false)] + Array(repeating: .data(1, ""), count: 300)),
    ]

    @Test(arguments: Self.floods)
    func controlFloods(_ name: String, _ frames: [HTTP2Frame]) async throws {
        try await Self.expect(Self.calm, frames)
    }

    /// Broken frames are the library's to refuse; here it is seen to be asked.
    @Test func illegalFrames() async throws {
        let get = HTTP2Frame.headers(1, HTTP2TestClient.request())
        let illegal: [([HTTP2Frame], UInt32)] = [
            ([.data(0, "x")], 1), ([.headers(2, HTTP2TestClient.request())], 1), ([.data(1, "x")], 1), ([.windowUpdate(0, 0)], 1),
            ([HTTP2Frame(type: 5, flags: 4, stream: 1, payload: [0, 0, 0, 2])], 1), ([get, HTTP2Frame(type: 9, flags: 4, stream: 1)], 1),
            ([HTTP2Frame(type: 6, payload: [1])], 6), ([HTTP2Frame(type: 4, payload: [1])], 6), ([.settings([(4, 0x8000_0000)])], 3),
            ([HTTP2Frame(type: 1, flags: 5, stream: 1, payload: [0x80])], 9), ([.windowUpdate(0, 0x7FFF_FFFF)], 3),
            ([HTTP2Frame(type: 0, stream: 1, payload: [UInt8](repeating: 0, count: 16_385))], 6),
            ([HTTP2Frame(type: 1, stream: 1, payload: HTTP2Frame.block(HTTP2TestClient.request())), .ping()], 1),
        ]
        for (frames, code) in illegal { try await Self.expect(code, frames) }
    }

    /// Neither a preface nor a head may drip in for ever, whatever else is open.
    @Test func headsHaveADeadline() async throws {
        let configure: @Sendable (inout BalancerConfiguration) -> Void = { $0.limits.headerTimeout = .seconds(4) }
        try await BalancerFixture.withHTTP2(configure: configure, script: { _, _ in .silence }) { fixture in
            let silent = try await fixture.client()
            let slow = try await fixture.client(sending: Array(HTTP2Frame.preface.prefix(10)))
            let unfinished = HTTP2Frame(type: 1, flags: 1, stream: 3, payload: HTTP2Frame.block(HTTP2TestClient.request()))
            let stuck = try await HTTP2TestClient.connect(fixture, sending: [.headers(1, HTTP2TestClient.request()), unfinished])
            try await silent.untilEnd()
            try await slow.untilEnd()
            try await stuck.untilEnd()
            #expect(stuck.goAway != nil)
            try await fixture.untilNothingRuns()
        }
    }

    @Test func otherProtocolsAreCutOff() async throws {
        try await BalancerFixture.withHTTP2 { fixture in
            for text in [
                "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", "\u{16}\u{3}\u{1}aaaaaaaaaaaaaaaaaaaaaaaa",
            ] {
                let client = try await fixture.client()
                client.send(text)
                try await client.untilEnd()
            }
            let client = try await fixture.client()
            // The first frame must be SETTINGS.
            client.send(HTTP2Frame.preface + HTTP2Frame.ping().bytes)
            try await client.untilEnd()
        }
    }
}

extension BalancerFixture {
    /// Waits until no exchange and no tunnel is under way.
    func untilNothingRuns() async throws {
        _ = try await eventually("nothing to run") {
            let document = try await serversDocument()
            let servers = document.split(separator: "{").filter { $0.contains("\"exchanges\":") }
            let isQuiet = !servers.contains { !$0.contains("\"exchanges\":0,") || !$0.contains("\"tunnels\":0,") }
            return isQuiet ? true : nil
        }
    }
}
