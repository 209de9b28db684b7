// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Gateway
import Store
import Synchronization
import TestSupport
import Testing

@Suite struct DrainTests {
    @Test func closesEverybodyAtItsPace() async throws {
        let began = Mutex(false)
        var hooks = GatewayHooks()
        hooks.drainBegan = { began.withLock { $0 = true } }
        try await GatewayFixture.with(hooks: hooks, configure: { $0.drainRate = 50 }) { gateway in
            var watchers: [Watcher] = []
            for _ in 0..<100 { watchers.append(try await gateway.watch()) }
            let start = ContinuousClock.now
            async let drained: Void = gateway.service.drain()
            let http = PlainHTTP(port: gateway.port)
            let ready = try await eventually("readyz") { () -> PlainAnswer? in
                let answer = try await http.call("GET", "/readyz")
                return answer.status == 503 ? answer : nil
            }
            #expect(ready.fields["keyvane-state"] == "draining")
            let live = try await http.call("GET", "/livez")
            #expect(live.status == 200)
            let late = try await gateway.connect()
            guard case .refused(503, let body) = try await late.end() else {
                Issue.record("a draining gateway let somebody in")
                return
            }
            #expect(body.contains("draining"))
            await drained
            // 100 sockets at 50 a second take two seconds; the last ones answer the close frame a little later.
            let taken = ContinuousClock.now - start
            #expect(taken > .milliseconds(1_700))
            #expect(taken < .seconds(20))
            for watcher in watchers {
                let end = try await watcher.client.end()
                #expect(end == .closed(1012, "drain"))
                let closing = try await watcher.client.message("closing")
                #expect(closing.hasPrefix(#"{"type":"closing","reason":"drain","reconnectAfterMs":"#))
            }
            #expect(gateway.service.connections == 0)
            #expect(!gateway.service.isReady)
            let told = began.withLock { $0 }
            #expect(told)
        }
    }

    @Test func stalledSocketsDoNotHoldTheDrain() async throws {
        try await GatewayFixture.with { gateway in
            let stalled = try await gateway.watch()
            stalled.client.pauseReading()
            let big = String(repeating: "v", count: 60_000)
            for round in 0..<150 { try await gateway.commit(.set("K", "\(round) \(big)")) }
            let start = ContinuousClock.now
            await gateway.service.drain()
            #expect(ContinuousClock.now - start < .seconds(20))
            #expect(gateway.service.connections == 0)
        }
    }
}
