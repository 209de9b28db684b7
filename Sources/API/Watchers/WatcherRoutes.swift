// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Hummingbird
import Notifier
import Store

/// `E/watchers`: who is connected to an environment, as the ledger in Redis knows it.
struct WatcherRoutes: Sendable {
    let directory: WatcherDirectory

    var routes: [APIRoute] {
        [.authorized(.get, EnvironmentRoutes.one + "/watchers", read)]
    }

    /// GET. Like the list of instances it can't do without Redis.
    @Sendable private func read(_ call: AuthorizedCall) async throws -> Response {
        _ = try call.query()
        let scope = try await call.environment()
        guard scope.access.isAdmin else { throw Problem.notGranted("admin") }
        let watchers: WatcherCounts
        do throws(NotifierError) {
            watchers = try await directory.watchers(of: scope.record.id.lowercased)
        } catch {
            throw Problem.unavailable("The ledger of watchers is in Redis, which can't be reached at the moment. Try again.")
                .with { $0.underlying = error }
        }
        guard directory.isComplete else {
            throw Problem.unavailable("Redis came back a moment ago, and the gateways are filling its ledger of watchers again. Try again.")
        }
        return .json(headers: [.cacheControl: "no-store"]) { $0.members(watchers) }
    }
}

extension JSONWriter {
    fileprivate mutating func members(_ watchers: WatcherCounts) {
        member("total", watchers.total)
        member("acknowledging", watchers.acknowledging)
        member("silent", watchers.silent)
        member("gateways", array: watchers.gateways) { list, gateway in
            list.object {
                $0.member("name", gateway.name)
                $0.member("watchers", gateway.watchers)
            }
        }
        member("byRevision", array: watchers.byRevision) { list, step in
            list.object {
                $0.member("revision", step.revision)
                $0.member("watchers", step.watchers)
            }
        }
        member("failed", array: watchers.failures) { list, failure in
            list.object {
                $0.member("connection", failure.connection)
                $0.member("revision", failure.revision)
                $0.member("message", failure.message)
            }
        }
    }
}
