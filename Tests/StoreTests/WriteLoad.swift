// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Store
import TestSupport
import Testing

/// Writers that go on while something breaks, and what must be true afterwards.
extension StoreFixture {
    /// Writes `count` names once each, from `tasks` tasks spread over `stores`; each ends as a success. With `retries` a call that
    /// ran out of time is made again, as a caller who was told 503 does.
    func write(
        on stores: [ConfigurationStore]? = nil,
        tasks: Int,
        count: Int,
        retries: Bool = false,
        written: Events<String>
    ) async throws {
        let stores = stores ?? [store]
        try await withThrowingTaskGroup(of: Void.self) { group in
            for task in 0..<tasks {
                let store = stores[task % stores.count]
                group.addTask {
                    for index in 0..<count {
                        let change = EntryChange(
                            name: "T\(task)_\(index)",
                            op: .set("\(index)"),
                            kind: index % 5 == 0 ? .secret : .variable
                        )
                        let mutation = Mutation(environmentID: environmentID, changes: [change], actor: "token:ab12cd34")
                        try await Self.mutate(store, mutation, retries: retries)
                        written.emit(change.name)
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    private static func mutate(_ store: ConfigurationStore, _ mutation: Mutation, retries: Bool) async throws {
        let start = ContinuousClock.now
        var isFirst = true
        while true {
            do throws(StoreError) {
                let outcome = try await store.mutate(mutation)
                // A doubled mutation would come back as a no-op, or with a second version. One that was made again may be a no-op.
                #expect(outcome.entries.first?.version == 1)
                if isFirst { #expect(outcome.changes.count == 1 && outcome.created) }
                return
            } catch {
                guard retries, error.code == .unavailable, start.duration(to: .now) < .seconds(120) else { throw error }
                isFirst = false
            }
        }
    }

    /// `count` changes in a history without a gap, each name once, each with one audit row; on `server`, or else the fixture's own.
    func expectAllOnce(_ count: Int, on server: PostgresServer? = nil) async throws {
        let changes = try await allChanges()
        #expect(changes.count == count && changes.map(\.revision) == Array(1...Int64(count)))
        #expect(Set(changes.map(\.name)).count == count)
        let audits = "SELECT count(*) FROM keyvane.audit WHERE first IS NOT NULL"
        let found = try await (server ?? database.server).sql(audits, database: database.name)
        #expect(found == ["\(count)"])
    }
}
