// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Hummingbird
import Notifier
import Store

/// `/v1/instances`: what runs, as the registry in Redis knows it.
struct InstanceRoutes: Sendable {
    let directory: InstanceDirectory

    var routes: [APIRoute] {
        [.authorized(.get, "/v1/instances", list)]
    }

    /// GET. Unlike a write this can't do without Redis.
    @Sendable private func list(_ call: AuthorizedCall) async throws -> Response {
        _ = try call.query()
        try call.token.requireAdministersEverything()
        let instances: [InstanceRecord]
        do throws(NotifierError) {
            instances = try await directory.instances()
        } catch {
            throw Problem.unavailable("The registry of instances is in Redis, which can't be reached at the moment. Try again.")
                .with { $0.underlying = error }
        }
        return .json(headers: [.cacheControl: "no-store"], capacity: 64 + instances.count * 192) { answer in
            answer.member("items", array: instances) { list, instance in
                list.object { $0.members(instance) }
            }
        }
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
