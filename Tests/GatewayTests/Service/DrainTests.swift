// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Foundation
import Gateway
import Notifier
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
            // By this field the balancer asks another gateway, also for an event stream.
            let stream = try await http.call("GET", "/v1/watch?environment=acme/web/production", fields: [("Accept", "text/event-stream")])
            #expect(stream.status == 503 && stream.fields["keyvane-state"] == "draining")
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

    @Test func anOperatorDrainsItAndTakesItBack() async throws {
        let told = Events<String>()
        var hooks = GatewayHooks()
        hooks.drainBegan = { told.emit("began") }
        hooks.drainEnded = { told.emit("ended") }
        try await GatewayFixture.with(hooks: hooks) { gateway in
            let watchers = [try await gateway.watch(), try await gateway.watch()]
            let http = PlainHTTP(port: gateway.port)
            // Another one's name, and a word that nobody has signed.
            try await gateway.publisher.publish(.instanceDrain(InstanceOrder(role: .gateway, name: "gateway-2")))
            _ = try await gateway.redis.command("PUBLISH", "change-notifier:control", #"{"type":"instance-drain","name":"gateway-1"}"#)
            try await gateway.publisher.publish(.instanceDrain(InstanceOrder(role: .api, name: "gateway-1")))
            try await gateway.publisher.publish(.instanceDrain(InstanceOrder(role: .gateway, name: "gateway-1", at: Date() - 60)))
            try await gateway.commit(.set("A", "1"))
            try await watchers[0].values(at: 1)
            #expect(gateway.service.isReady)
            for _ in 0..<2 {
                try await gateway.publisher.publish(.instanceDrain(InstanceOrder(role: .gateway, name: "gateway-1")))
                try await told.until { $0.last == "began" }
                _ = try await eventually("no socket left") { gateway.service.connections == 0 ? true : nil }
                let ready = try await http.call("GET", "/readyz")
                #expect(ready.status == 503 && ready.fields["keyvane-state"] == "draining")
                let late = try await gateway.connect()
                guard case .refused(503, _) = try await late.end() else {
                    Issue.record("a draining gateway let somebody in")
                    return
                }
                try await gateway.publisher.publish(.instanceReady(InstanceOrder(role: .gateway, name: "gateway-1")))
                try await told.until { $0.last == "ended" }
                let back = try await http.call("GET", "/readyz")
                #expect(back.status == 200)
                let again = try await gateway.watch()
                try await gateway.commit(.set("A", "2"), .set("A2", "\(UUID())"))
                try await again.client.until("a change") { $0.contains { $0.hasPrefix(#"{"type":"changes"#) } }
            }
            for watcher in watchers {
                let end = try await watcher.client.end()
                #expect(end == .closed(1012, "drain"))
            }
            #expect(told.all == ["began", "ended", "began", "ended"])
            // The end of the process can't be taken back.
            await gateway.service.drain()
            try await gateway.publisher.publish(.instanceReady(InstanceOrder(role: .gateway, name: "gateway-1")))
            #expect(!gateway.service.isReady)
        }
    }

    @Test func theEndOfTheProcessHasTheLastWord() async throws {
        let (told, services, ends) = (Events<String>(), Events<GatewayService>(), Events<Bool>())
        let isBegun = DispatchSemaphore(value: 0)
        var hooks = GatewayHooks()
        hooks.drainBegan = {
            told.emit("began")
            if !ends.all.isEmpty { isBegun.signal() }
        }
        hooks.drainEnded = {
            told.emit("ended")
            guard let service = services.all.first else { return }
            ends.emit(true)
            // In the middle of the operator's word. The test waits for its end by `ends`.
            Task {
                await service.drain()
                ends.emit(false)
            }
            _ = isBegun.wait(timeout: .now() + 20)
        }
        try await GatewayFixture.with(hooks: hooks) { gateway in
            services.emit(gateway.service)
            try await gateway.publisher.publish(.instanceDrain(InstanceOrder(role: .gateway, name: "gateway-1")))
            try await told.until { $0 == ["began"] }
            try await gateway.publisher.publish(.instanceReady(InstanceOrder(role: .gateway, name: "gateway-1", at: Date() + 1)))
            try await told.until { $0 == ["began", "ended", "began", "began"] }
            try await ends.until { $0 == [true, false] }
            #expect(!gateway.service.isReady)
        }
    }
}
