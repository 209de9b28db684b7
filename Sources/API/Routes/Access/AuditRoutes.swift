// Keyvane
// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Hummingbird
import Store

/// `/v1/workspaces/{w}/audit`: who did what when, newest first. What belongs to no workspace is under `*`, for those who administer all.
struct AuditRoutes: Sendable {
    let store: ConfigurationStore

    var routes: [APIRoute] {
        [.authorized(.get, "/v1/workspaces/{w}/audit", list)]
    }

    /// GET: an administrator of a part of the workspace sees that part. What was deleted keeps its audit, for whoever administers its slug.
    @Sendable private func list(_ call: AuthorizedCall) async throws -> Response {
        let page = try call.page(call.query("limit", "cursor"))
        let workspace = call.parameter("w")
        let places: [String]?
        if workspace == "*" {
            try call.token.requireAdministersEverything()
            places = nil
        } else {
            places = call.token.administeredPlaces(in: workspace)
            if places?.isEmpty == true { throw call.token.knows(workspace: workspace) ? Problem.notGranted("admin") : .notFound }
        }
        let found = try await store.audit(workspace: workspace, page, within: places)
        // Of a workspace that never was there is nothing to say.
        if found.items.isEmpty, page.after == nil, workspace != "*" { _ = try await store.workspace(workspace) }
        return .list(found.items, nextCursor: found.nextCursor, headers: .configuration) { $0.members($1) }
    }
}

extension JSONWriter {
    fileprivate mutating func members(_ item: AuditItem) {
        member("id", item.id)
        member("at", item.at)
        member("actor", item.actor)
        member("action", item.action)
        member("target", item.target)
        if let revision = item.revision { member("revision", revision) } else { member("revision", String?.none) }
        member("requestId", item.requestID)
    }
}
