// Keyvane
// SPDX-License-Identifier: Apache-2.0

import API
import Foundation
import Logging
import Notifier
import Store
import Synchronization
import TestSupport
import Testing

@Suite(.serialized) struct InstanceTests {
    /// The registry as the composition root has it: it says what the API was asked.
    private final class Registered: Sendable {
        let registry = Mutex<InstanceRegistry?>(nil)

        var hooks: APIHooks {
            var hooks = APIHooks()
            hooks.askedToDrain = { [self] isDraining in
                let registry = registry.withLock { $0 }
                if isDraining { registry?.update(state: .draining) } else { registry?.resumed() }
            }
            return hooks
        }
    }

    /// An API that hears its own channel and is in the registry as `api-1`.
    private func withInstance(_ body: (TestAPI, Events<ControlMessage>) async throws -> Void) async throws {
        let registered = Registered()
        try await withRedis { redis in
            try await withAPI(redis: redis.url, hooks: registered.hooks) { api in
                _ = try await eventually("redis") { api.redis.isConnected ? true : nil }
                let controls = Events<ControlMessage>()
                let record = InstanceRecord(role: .api, name: "api-1", address: "127.0.0.1:1", state: .ready, version: "1.2.3")
                let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
                let registry = InstanceRegistry(api.redis, cluster: "keyvane", instance: record, logger: logger)
                registered.registry.withLock { $0 = registry }
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { await registry.run() }
                    defer { group.cancelAll() }
                    let heard: @Sendable ([SubscriberEvent]) -> Void = { events in
                        api.service.received(events)
                        for case .control(let message, isTrusted: true) in events { controls.emit(message) }
                    }
                    try await withEvents(redis, heard) {
                        _ = try await eventually("the record") { try await state(api) == "ready" ? true : nil }
                        try await body(api, controls)
                    }
                }
            }
        }
    }

    private static func text(_ message: ControlMessage) -> String {
        switch message {
        case .instanceDrain(let order): "drain \(order.role) \(order.name)"
        case .instanceReady(let order): "ready \(order.role) \(order.name)"
        case .tokenRevoked, .tokenChanged, .environmentDeleted: "\(message)"
        }
    }

    private func state(_ api: TestAPI) async throws -> String? {
        try await api.root.call("GET", "/v1/instances")["items"]?[0]?["state"]?.text
    }

    @Test func anInstanceDrainsAndComesBack() async throws {
        try await withInstance { api, controls in
            let drained = try await api.root.call("POST", "/v1/instances/api-1/drain")
            #expect(drained.status == 200)
            #expect(drained["name"]?.text == "api-1")
            #expect(drained["state"]?.text == "draining")
            _ = try await eventually("readyz") {
                let ready = try await api.http(nil).call("GET", "/readyz")
                return ready.status == 503 && ready.fields["keyvane-state"] == "draining" ? true : nil
            }
            _ = try await eventually("the registry") { try await state(api) == "draining" ? true : nil }
            // It serves whoever comes all the same.
            #expect(try await api.root.call("GET", "/v1/workspaces").status == 200)
            #expect(try await api.http(nil).call("GET", "/livez").status == 200)
            let back = try await api.root.call("POST", "/v1/instances/api-1/ready", body: "{}")
            #expect(back["state"]?.text == "ready")
            _ = try await eventually("readyz") { try await api.http(nil).call("GET", "/readyz").status == 200 ? true : nil }
            _ = try await eventually("the registry") { try await state(api) == "ready" ? true : nil }
            #expect(controls.all.map(Self.text) == ["drain api api-1", "ready api api-1"])
            let audit = try await api.root.call("GET", "/v1/workspaces/*/audit")
            #expect(audit["items"]?.texts("action") == ["instance.ready", "instance.drain"])
            #expect(audit["items"]?.texts("target") == ["api-1", "api-1"])
        }
    }

    @Test func theSameWishUnderTheSameKeyIsAskedOnce() async throws {
        try await withInstance { api, controls in
            let key = [("Idempotency-Key", "k")]
            let first = try await api.root.call("POST", "/v1/instances/api-1/drain", fields: key)
            _ = try await api.root.call("POST", "/v1/instances/api-1/ready")
            let again = try await api.root.call("POST", "/v1/instances/api-1/drain", fields: key)
            #expect(again.text == first.text)
            #expect(try await api.root.call("POST", "/v1/instances/api-1/ready", fields: key).status == 422)
            _ = try await controls.until { $0.count >= 2 }
            #expect(controls.all.map(Self.text) == ["drain api api-1", "ready api api-1"])
        }
    }

    @Test func onlyWhoIsThereIsAsked() async throws {
        try await withInstance { api, controls in
            #expect(try await api.root.call("POST", "/v1/instances/balancer-1/drain").status == 404)
            #expect(try await api.root.call("POST", "/v1/instances/api-1/stop").status == 404)
            #expect(try await api.root.call("POST", "/v1/instances/api-1/drain", body: #"{"now":true}"#).status == 422)
            let admin = try await api.client(Grant(workspace: "acme", permissions: Set(Permission.allCases)))
            #expect(try await admin.call("POST", "/v1/instances/api-1/drain").status == 403)
            // Nobody else's word is believed, and nobody else's name.
            api.service.received([
                .control(.instanceDrain(InstanceOrder(role: .api, name: "api-1")), isTrusted: false),
                .control(.instanceDrain(InstanceOrder(role: .api, name: "api-2")), isTrusted: true),
                .control(.instanceDrain(InstanceOrder(role: .gateway, name: "api-1")), isTrusted: true),
                .control(.instanceDrain(InstanceOrder(role: .api, name: "api-1", at: Date() - 60)), isTrusted: true),
            ])
            #expect(try await api.http(nil).call("GET", "/readyz").status == 200)
            #expect(controls.all.isEmpty)
        }
    }

    @Test func theEndOfTheProcessHasTheLastWord() async throws {
        let told = Events<Bool>()
        var hooks = APIHooks()
        hooks.askedToDrain = { told.emit($0) }
        try await withRedis { redis in
            try await withAPI(redis: redis.url, hooks: hooks) { api in
                let start = Date()
                func say(_ message: (InstanceOrder) -> ControlMessage, after milliseconds: Double) {
                    let order = InstanceOrder(role: .api, name: "api-1", at: start + milliseconds / 1000)
                    api.service.received([.control(message(order), isTrusted: true)])
                }
                say(ControlMessage.instanceDrain, after: 0)
                // Played again, it is not even an order.
                say(ControlMessage.instanceReady, after: 0)
                #expect(told.all == [true])
                await api.service.drain(immediately: true)
                say(ControlMessage.instanceReady, after: 5)
                #expect(told.all == [true, true])
            }
        }
    }
}
