// Keyvane
// SPDX-License-Identifier: Apache-2.0

// What is true, and whether everybody was told so: pure values, no I/O.
// Flows through: PostgreSQL's change table, every watcher's log and every writer's answers, each into findings; none is what we want.
// Owner: the campaign's test builds the values once everything is quiet; nothing here changes afterwards.
// Must hold: a fault of the product that a watcher or a writer can notice is a finding; `LogCheckerTests` shows each kind red.

/// A row of the change table.
struct CommittedChange: Hashable, Sendable {
    let revision: Int
    /// Of its transaction.
    let first: Int
    let last: Int
    let cursor: String
    let name: String
    let isSecret: Bool
    /// A set to watchers, a delete otherwise.
    let isSet: Bool
    /// As `ValueMark` keeps it. A secret is sealed in PostgreSQL; the writers' ledger fills it in.
    var value: String?
    let version: Int
}

/// One environment's change table. Rows lie at their revision less 1.
struct EnvironmentHistory: Sendable {
    let path: String
    /// The cursor of revision 0.
    let origin: String
    private(set) var changes: [CommittedChange]

    /// Nil where the rows are not consecutive, or a transaction's bounds don't fit.
    init?(path: String, origin: String, changes: [CommittedChange]) {
        for (index, change) in changes.enumerated() {
            guard change.revision == index + 1, change.first <= change.revision, change.revision <= change.last else { return nil }
            guard change.first >= 1, change.last <= changes.count else { return nil }
            guard changes[change.first - 1].last == change.last, changes[change.last - 1].first == change.first else { return nil }
        }
        self.path = path
        self.origin = origin
        self.changes = changes
    }

    var head: Int { changes.count }

    func cursor(at revision: Int) -> String? {
        revision == 0 ? origin : changes.indices.contains(revision - 1) ? changes[revision - 1].cursor : nil
    }

    /// Whether a transaction ends here.
    func isBoundary(_ revision: Int) -> Bool {
        revision == 0 || changes.indices.contains(revision - 1) && changes[revision - 1].last == revision
    }

    /// Where the transaction of a revision ends: its state is only whole there.
    func boundary(of revision: Int) -> Int {
        changes.indices.contains(revision - 1) ? changes[revision - 1].last : revision
    }

    /// Empty where there is nothing between.
    func changes(after revision: Int, through last: Int) -> ArraySlice<CommittedChange> {
        revision < last ? changes[revision..<last] : []
    }

    /// Enabled entries at a revision, by name.
    func state(at revision: Int) -> [String: CommittedChange] {
        var state: [String: CommittedChange] = [:]
        for change in changes(after: 0, through: revision) { state[change.name] = change.isSet ? change : nil }
        return state
    }

    mutating func fill(_ value: String?, at revision: Int) {
        changes[revision - 1].value = value
    }
}

/// What a watcher may see: the names of its filter, and secrets only with the permission.
struct Visibility: Hashable, Sendable {
    /// The glob is this and a star.
    var prefix = ""
    var showsSecrets = true

    var glob: String { "\(prefix)*" }

    func shows(_ change: CommittedChange) -> Bool {
        change.name.hasPrefix(prefix) && (showsSecrets || !change.isSecret)
    }
}

/// A value as the checker keeps it: a short one as it is, of a long one what tells it from others.
enum ValueMark {
    private static let whole = 48

    static func of(_ value: String) -> String {
        let count = value.utf8.count
        return count > whole ? "\(count):\(value.prefix(32)):\(value.suffix(8))" : value
    }

    /// The same in SQL, for ASCII.
    static let sql =
        "CASE WHEN length(value) > \(whole) THEN length(value) || ':' || left(value, 32) || ':' || right(value, 8) ELSE value END"
}
