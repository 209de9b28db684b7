// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Reactor
import TestSupport
import Testing

/// The balancer's own end, and endings in general.
@Suite struct DrainTests {
    private static let upgrade =
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

    @Test func exchangesEndAndNobodyNewComesIn() async throws {
        // The time that an idle connection has for one thing more: enough for a busy machine.
        let configure: @Sendable (inout BalancerConfiguration) -> Void = { $0.limits.linger = .seconds(60) }
        let script: @Sendable (String, BackendRequest) -> BackendAction = { _, request in request.target == "/slow" ? .silence : .ok() }
        try await BalancerFixture.with(loops: 2, configure: configure, script: script) { fixture in
            let slow = try await fixture.client()
            slow.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
            _ = try await fixture.backends[0].requests.first()
            let idle = try await fixture.client()
            #expect(try await idle.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n").status == 200)
            async let drained: Void = fixture.service.drain()
            // The admin listener tells of it.
            _ = try await eventually("draining") {
                let admin = try await fixture.admin()
                let answer = try await admin.request("GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n")
                return answer.status == 503 && answer.value("keyvane-state") == "draining" ? true : nil
            }
            // A connection that is open may say one thing more.
            let last = try await idle.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(last.status == 200 && last.value("connection") == "close")
            try await idle.untilEnd()
            await #expect(throws: DeadlinePassed.self) { _ = try await fixture.client() }
            try await fixture.backends[0].push("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate")
            let answer = try await slow.response()
            #expect(answer.text == "late" && answer.value("connection") == "close")
            await drained
        }
    }

    @Test func tunnelsAreClosedAtAPace() async throws {
        let configure: @Sendable (inout BalancerConfiguration) -> Void = { configuration in
            configuration.limits.drainPace = 20
            configuration.limits.drainTunnels = .seconds(1000)
        }
        try await BalancerFixture.with(configure: configure, script: { _, _ in .tunnel() }) { fixture in
            var clients: [TestClient] = []
            for _ in 0..<20 {
                let client = try await fixture.client()
                #expect(try await client.request(Self.upgrade).status == 101)
                clients.append(client)
            }
            let clock = ContinuousClock()
            let began = clock.now
            await fixture.service.drain()
            let elapsed = clock.now - began
            #expect(elapsed > .milliseconds(800) && elapsed < .seconds(500))
            for client in clients { try await client.untilEnd() }
        }
    }

    @Test func aDrainHasAnEnd() async throws {
        try await BalancerFixture.with(configure: { $0.limits.drain = .milliseconds(300) }, script: { _, _ in .silence }) { fixture in
            let client = try await fixture.client()
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            _ = try await fixture.backends[0].requests.first()
            await fixture.service.drain()
        }
    }

    @Test func idleTunnelsEndAndBusyOnesDont() async throws {
        try await BalancerFixture.with(configure: { $0.limits.tunnelIdle = .seconds(6) }, script: { _, _ in .tunnel() }) { fixture in
            let (idle, busy) = (try await fixture.client(), try await fixture.client())
            #expect(try await idle.request(Self.upgrade).status == 101)
            // On the loop's own time: this task may be held up longer than a tunnel may be idle.
            busy.send(Self.upgrade)
            busy.send("x", every: .milliseconds(100))
            #expect(try await busy.response().status == 101)
            #expect(try await idle.untilEnd().isEmpty)
            busy.send("y")
            _ = try await busy.take("the echo") { bytes -> (Bool, Int)? in bytes.contains(0x79) ? (true, bytes.count) : nil }
        }
    }

    /// Clients come, go in the middle of everything, and nothing stays behind.
    @Test func nothingIsLeftOver() async throws {
        try await BalancerFixture.with(
            [("web", "web-1"), ("web", "web-2")],
            loops: 2,
            script: { _, request in
                request.values("upgrade").isEmpty ? (request.target == "/never" ? .silence : .ok()) : .tunnel()
            }
        ) { fixture in
            let descriptors = try openDescriptors()
            for round in 0..<60 {
                let client = try await fixture.client()
                switch round % 6 {
                case 0: client.send("GET /never HTTP/1.1\r\nHost: a\r\n\r\n")
                case 1: client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf")
                case 2: client.send("GET / HT")
                case 3: #expect(try await client.request(Self.upgrade).status == 101)
                case 4: #expect(try await client.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n").status == 200)
                default: client.send(Self.upgrade + "early")
                }
                if round % 2 == 0 { client.reset() } else { client.close() }
            }
            _ = try await eventually("no exchange and no tunnel") {
                let document = try await fixture.serversDocument()
                return document.matches(of: /"exchanges":0,"tunnels":0/).count == 2 ? true : nil
            }
            _ = try await eventually("descriptors as before, but for idle connections") {
                try openDescriptors() <= descriptors + 40 ? true : nil
            }
        }
    }

    private func openDescriptors() throws -> Int {
        try FileList.names(in: "/proc/self/fd").count
    }
}
