// Keyvane
// SPDX-License-Identifier: Apache-2.0

import KeyvaneClient

extension Terminal {
    /// What a mutation did: a line, or JSON. Its secrets are masked, since whoever wrote them knows them.
    static func changes(_ result: MutationResult, asJSON: Bool) throws {
        guard !asJSON else {
            try json(ShownMutation(revision: result.revision, changes: result.changes.map { $0.masked(unless: false) }))
            return
        }
        guard !result.changes.isEmpty else {
            line("nothing changed, revision \(result.revision)")
            return
        }
        let names = result.changes.prefix(10).map { $0.op == .delete ? "-\($0.name)" : $0.name }.joined(separator: ", ")
        let more = result.changes.count > 10 ? " and \(result.changes.count - 10) more" : ""
        line("revision \(result.revision): \(names)\(more)")
    }

    private struct ShownMutation: Encodable {
        let revision: Int
        let changes: [WatchChange]
    }
}

extension WatchChange {
    static let mask = "********"

    func masked(unless reveal: Bool) -> WatchChange {
        guard isSecret, !reveal, value != nil else { return self }
        return WatchChange(
            op: op,
            name: name,
            value: Self.mask,
            isSecret: true,
            version: version,
            revision: revision,
            at: at,
            by: by
        )
    }
}
