// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Foundation

/// One row of the audit, as somebody who looks for it gets it.
package struct AuditItem: Hashable, Sendable {
    package let id: UUID
    package let at: Timestamp
    package let actor: String
    /// `entry.set`, `workspace.create`, `secret.read`, …
    package let action: String
    /// What it was done to: a place, something in a place, or a token or an instance by its name.
    package let target: String
    /// The environment's, after a mutation of entries.
    package let revision: Int64?
    package let requestID: String?

    init(_ row: PostgresResult.Row) {
        id = row.uuid(0)
        at = row.timestamp(1)
        actor = row.text(2)
        action = row.text(3)
        target = Self.target(action: action, place: row.text(4), name: row.text(5))
        revision = row.optionalInteger(6)
        requestID = row.optionalText(7)
    }

    /// Rows have the place and the thing's own name apart.
    private static func target(action: String, place: String, name: String) -> String {
        switch action.prefix(while: { $0 != "." }) {
        case "workspace", "project", "environment", "watch": place
        case "token", "instance": name
        default: "\(place)/\(name)"
        }
    }

    /// Where a list goes on: its time and its id, `1790000000000-<uuid>`.
    var cursor: String { "\(at.milliseconds)-\(id.lowercased)" }
}

/// A row of the audit for what no other statement writes: reads of secrets, subscriptions, instances that are drained.
package struct AuditNote: Hashable, Sendable {
    package let id = UUID()
    package let at = Timestamp.now
    package let actor: String
    package let action: String
    /// `workspace/project/environment`, or `*` for nothing in particular.
    package let place: String
    package let environmentID: UUID?
    package let target: String
    package let requestID: String?

    package init(actor: String, action: String, place: String, environmentID: UUID? = nil, target: String, requestID: String? = nil) {
        self.actor = actor
        self.action = action
        self.place = place
        self.environmentID = environmentID
        self.target = target
        self.requestID = requestID
    }

    /// About what it takes in a queue.
    package var byteCount: Int {
        192 + actor.utf8.count + action.utf8.count + place.utf8.count + target.utf8.count + (requestID?.utf8.count ?? 0)
    }
}
