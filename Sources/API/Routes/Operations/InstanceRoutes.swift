// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import HTTPTypes
import Hummingbird
import NIOCore
import Notifier
import Store

/// `/v1/instances`: what runs, as the registry in Redis knows it, and what operators want of it.
struct InstanceRoutes: Sendable {
    private enum Wish: String {
        case drain
        case ready

        var state: InstanceRecord.State {
            switch self {
            case .drain: .draining
            case .ready: .ready
            }
        }

        func message(_ instance: InstanceRecord) -> ControlMessage {
            let order = InstanceOrder(role: instance.role, name: instance.name)
            return switch self {
            case .drain: .instanceDrain(order)
            case .ready: .instanceReady(order)
            }
        }
    }

    let directory: InstanceDirectory
    let publisher: ChangePublisher
    let store: ConfigurationStore

    var routes: [APIRoute] {
        [
            .authorized(.get, "/v1/instances", list),
            .authorized(.post, "/v1/instances/{name}/drain") { try await ask($0, .drain) },
            .authorized(.post, "/v1/instances/{name}/ready") { try await ask($0, .ready) },
        ]
    }

    /// GET. Unlike a write this can't do without Redis.
    @Sendable private func list(_ call: AuthorizedCall) async throws -> Response {
        _ = try call.query()
        try call.token.requireAdministersEverything()
        let instances = try await instances()
        return .json(headers: [.cacheControl: "no-store"], capacity: 64 + instances.count * 192) { answer in
            answer.member("items", array: instances) { list, instance in
                list.object { $0.members(instance) }
            }
        }
    }

    /// POST: the instance drains itself, or takes work again; the answer is its record with the state that it was asked to have. Instances
    /// that don't register, such as balancers, can't be asked.
    private func ask(_ call: AuthorizedCall, _ wish: Wish) async throws -> Response {
        _ = try call.query()
        try call.token.requireAdministersEverything()
        let input = try await call.input()
        try input.requireEmpty()
        if let key = input.idempotencyKey, let first = try await store.remembered(key) { return Self.answer(first) }
        let name = call.parameter("name")
        guard var instance = try await instances().first(where: { $0.name == name }) else { throw Problem.notFound }
        instance.state = wish.state
        // The audit first: what is in it may not have come about, but nothing comes about that isn't in it.
        try await store.record([
            AuditNote(
                actor: call.token.actor,
                action: "instance.\(wish.rawValue)",
                place: "*",
                target: name,
                requestID: call.context.requestID
            )
        ])
        do throws(NotifierError) {
            try await publisher.publish(wish.message(instance))
        } catch {
            throw Self.away(error)
        }
        var writer = JSONWriter()
        writer.object { $0.members(instance) }
        let text = String(buffer: writer.buffer)
        guard let key = input.idempotencyKey else { return Self.answer(text) }
        return Self.answer(try await store.remembered(key, answer: text))
    }

    private static func answer(_ json: String) -> Response {
        let headers: HTTPFields = [.contentType: "application/json", .cacheControl: "no-store"]
        return Response(status: .ok, headers: headers, body: .init(byteBuffer: ByteBuffer(string: json)))
    }

    private func instances() async throws(Problem) -> [InstanceRecord] {
        do throws(NotifierError) {
            return try await directory.instances()
        } catch {
            throw Self.away(error)
        }
    }

    private static func away(_ error: NotifierError) -> Problem {
        .unavailable("Instances are reached through Redis, which is away at the moment. Try again.").with { $0.underlying = error }
    }
}

extension JSONWriter {
    fileprivate mutating func members(_ instance: InstanceRecord) {
        member("name", instance.name)
        member("role", instance.role.rawValue)
        member("address", instance.address)
        member("state", instance.state.rawValue)
        member("version", instance.version)
        member("connections", instance.connections)
        member("startedAt", Timestamp(instance.startedAt))
    }
}
