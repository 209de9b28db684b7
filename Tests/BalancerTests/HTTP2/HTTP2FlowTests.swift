// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Reactor
import TestSupport
import Testing

/// Windows, many streams at a time, and who waits for whom.
@Suite struct HTTP2FlowTests {
    private static let initialWindow: UInt16 = 4

    @Test(arguments: [900, 16_384, 100_000])
    func largeBodiesThroughSmallWindows(_ window: UInt32) async throws {
        let size = 1 << 20
        try await BalancerFixture.withHTTP2(script: { _, _ in .stream(size) }) { fixture in
            let client = try await HTTP2TestClient.connect(fixture, settings: [(Self.initialWindow, window)])
            let message = try await client.get(1)
            #expect(message.body.count == size && message.isEnded && message.reset == nil)
        }
    }

    @Test func aHundredStreamsAtATime() async throws {
        let body = String(repeating: "x", count: 20_000)
        try await BalancerFixture.withHTTP2(script: { _, request in .ok(request.target + body) }) { fixture in
            let client = try await HTTP2TestClient.connect(fixture)
            let streams = (0..<100).map { Int32($0 * 2 + 1) }
            client.send(streams.map { .headers($0, HTTP2TestClient.request("GET", "/\($0)")) })
            for stream in streams { #expect(try await client.message(stream).text == "/\(stream)" + body) }
        }
    }

    @Test func oneStreamTooManyIsRefused() async throws {
        let configure: @Sendable (inout BalancerConfiguration) -> Void = { $0.limits.http2.streams = 3 }
        try await BalancerFixture.withHTTP2(configure: configure, script: { _, _ in .silence }) { fixture in
            let client = try await HTTP2TestClient.connect(fixture)
            // Before the client can know the limit, it is told to try again; afterwards it would be a fault.
            client.send((0..<4).map { .headers(Int32($0 * 2 + 1), HTTP2TestClient.request()) })
            let message = try await client.message(7)
            #expect(message.reset == 7)
            #expect(try await fixture.backends[0].requests.until { $0.count == 3 }.count == 3)
        }
    }

    /// A server that doesn't read stops the client's window, not the balancer's memory; another stream goes on.
    @Test func slowServersStopTheUpload() async throws {
        let configure: @Sendable (inout BalancerConfiguration) -> Void = { configuration in
            configuration.limits.http2.streamWindow = 65_535
        }
        let size = 24 << 20
        try await BalancerFixture.withHTTP2(configure: configure, script: { _, request in .ok("\(request.body.count)") }) { fixture in
            let client = try await HTTP2TestClient.connect(fixture)
            _ = try await client.get(1)
            try await fixture.backends[0].setReading(false)
            client.send(.headers(3, HTTP2TestClient.request("POST"), end: false))
            var sent = 0
            let piece = [UInt8](repeating: 0x61, count: 16_000)
            // What the windows allow, until they stay shut for a while of other traffic.
            var quiet = 0
            var stream: Int32 = 5
            while quiet < 20 {
                let before = sent
                while sent < size, client.windows[3, default: 65_535] >= piece.count, client.windows[0, default: 65_535] >= piece.count {
                    client.spend(piece.count, on: 3)
                    client.send(.data(3, bytes: piece))
                    sent += piece.count
                }
                quiet = sent == before ? quiet + 1 : 0
                #expect(try await client.get(stream, "/livez").status == "200")
                stream += 2
            }
            #expect(sent < size)
            try await fixture.backends[0].setReading(true)
            client.send(.data(3, "end", end: true))
            #expect(try await client.message(3).text == "\(sent + 3)")
        }
    }

    /// A client whose window stays shut loses the stream, and so does one that doesn't go on with its body.
    @Test func stalledStreamsEnd() async throws {
        let configure: @Sendable (inout BalancerConfiguration) -> Void = { $0.limits.clientIdle = .seconds(4) }
        let script: @Sendable (String, BackendRequest) -> BackendAction = { _, request in
            request.target == "/large" ? .stream(1 << 20) : .ok(String(repeating: "x", count: 2000))
        }
        try await BalancerFixture.withHTTP2(configure: configure, script: script) { fixture in
            // One whose server has more to say, one whose server has said everything, one that doesn't finish, and an answer of our own. All
            // at once: the connection must not be idle before the last of them is sent.
            let frames: [HTTP2Frame] = [
                .headers(1, HTTP2TestClient.request("GET", "/large")), .headers(3, HTTP2TestClient.request()),
                .headers(5, HTTP2TestClient.request("POST"), end: false), .data(5, "begun"),
                .headers(7, [(":method", "CONNECT"), (":authority", "a:443")]),
            ]
            let client = try await HTTP2TestClient.connect(fixture, settings: [(Self.initialWindow, 100)], sending: frames)
            client.opensWindows = false
            for stream: Int32 in [1, 3] {
                let message = try await client.message(stream)
                #expect(message.reset != nil && !message.isEnded && message.body.count == 100)
            }
            let message = try await client.message(5)
            #expect(message.status == "408" || message.reset != nil)
            #expect(try await client.message(7).reset != nil)
            // With nothing left open, the connection is idle, and ends in order.
            try await client.untilEnd()
            #expect(client.goAway?.code == 0)
        }
    }
}
