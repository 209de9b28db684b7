// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Hummingbird
import Store

/// The change log as a list, or as a long poll: the same items as on the watch, whole transactions only.
struct ChangeRoutes: Sendable {
    /// How much of the log one read may pass over where nothing in it is visible, before the answer says how far it got.
    private static let maximumReads = 20

    /// What a read gave: the visible changes, and how far the log is read, visible or not.
    private struct Found: Sendable {
        var items: [(change: Change, value: String?)] = []
        var secrets: [String] = []
        var cursor: Cursor
        var isAtHead: Bool
    }

    let store: ConfigurationStore
    let bell: ChangeBell
    let interval: @Sendable () -> Duration

    var routes: [APIRoute] {
        [.authorized(.get, EnvironmentRoutes.one + "/changes", list)]
    }

    /// GET. `revision` and `cursor` are where the next call goes on, never beyond what this answer covers: a client that passes either one
    /// back misses nothing.
    @Sendable private func list(_ call: AuthorizedCall) async throws -> Response {
        let query = try call.query("since", "limit", "wait", "reveal")
        guard let since = ResumePoint(parsing: query.text("since") ?? "0") else {
            throw Problem.invalidParameter("since", "must be a revision or a cursor, as in 57 or 57-9f3a01c2")
        }
        let limit = try query.integer("limit", in: 1...PageRequest.maximumLimit) ?? 50
        let wait = try query.integer("wait", in: 0...55) ?? 0
        let reveals = try query.flag("reveal") ?? true
        let scope = try await call.environment()
        try scope.requireRead()
        let found =
            wait == 0
            ? try await read(scope, since, limit, reveals)
            : try await poll(call, scope, since, limit, reveals, until: .now + .seconds(wait))
        try await call.recordRead(of: found.secrets, in: scope)
        return .json(headers: .configuration, capacity: 128 + found.items.count * 256) { answer in
            answer.member("items", array: found.items) { list, item in
                list.object { $0.members(item.change, value: item.value) }
            }
            answer.member("revision", found.cursor.revision)
            answer.member("cursor", found.cursor.description)
        }
    }

    /// Waits for something visible. The bell is taken before the first read: what is committed in between rings it.
    private func poll(
        _ call: AuthorizedCall,
        _ scope: EnvironmentScope,
        _ since: ResumePoint,
        _ limit: Int,
        _ reveals: Bool,
        until deadline: ContinuousClock.Instant
    ) async throws -> Found {
        try await bell.withRings(of: scope.record.id, every: interval, until: deadline) { rings in
            var found = try await read(scope, since, limit, reveals)
            guard let rings else { return found }
            var iterator = rings.makeAsyncIterator()
            while found.items.isEmpty, found.isAtHead, await iterator.next() != nil {
                // A token that has been revoked or narrowed while it waited gets nothing more by it.
                guard let access = try await call.renewed().token.access(to: scope.record.path) else { throw Problem.notFound }
                let scope = EnvironmentScope(record: scope.record, access: access)
                try scope.requireRead()
                // What was passed over unseen is not read again; the mark still tells whether history has been replaced.
                found = try await read(scope, ResumePoint(revision: found.cursor.revision, mark: found.cursor.mark), limit, reveals)
            }
            return found
        }
    }

    /// Reads on until something visible turns up, the head is reached, or enough was read for one request.
    /// - Parameter reveals: false is for people who look at the log: what they may read is in it, secrets without their values.
    private func read(_ scope: EnvironmentScope, _ since: ResumePoint, _ limit: Int, _ reveals: Bool) async throws -> Found {
        var point = since
        var found = Found(cursor: scope.record.cursor, isAtHead: false)
        for _ in 0..<Self.maximumReads {
            let page = try await store.changes(environmentID: scope.record.id, since: point.revision, limit: limit)
            // Trimmed, beyond the head, or another history: in each case only a snapshot helps.
            guard !page.tooOld, let mark = page.markAtSince, point.mark ?? mark == mark else {
                throw Problem(
                    .sinceTooOld,
                    "The log does not hold this point any more, or never did. Read the configuration and go on from its cursor."
                )
            }
            found.cursor = page.cursor
            found.isAtHead = page.cursor.revision == page.revision
            var secrets = SecretReader(store, scope)
            for change in page.changes {
                if reveals, scope.reveals(change.name, change.kind) {
                    found.items.append((change, try await secrets.text(change)))
                } else if !reveals, scope.access.canRead(change.name) {
                    found.items.append((change, change.kind == .secret ? nil : try await secrets.text(change)))
                }
            }
            found.secrets += secrets.revealed
            if !found.items.isEmpty || found.isAtHead { break }
            point = ResumePoint(revision: found.cursor.revision, mark: found.cursor.mark)
        }
        return found
    }
}
