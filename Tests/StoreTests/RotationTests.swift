// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Logging
import Reactor
import Store
import TestSupport
import Testing

@Suite("Master keys are rotated")
struct RotationTests {
    private static let one = StoreFixture.keys
    private static let two = StoreFixture.otherKeys.replacingOccurrences(of: "one:", with: "two:")
    private static let newFirst = "\(two),\(one)"
    private static let oldFirst = "\(one),\(two)"
    private let text = "the-secret-of-the-test"

    /// Why an instance with these keys refuses to start; nil where it starts.
    private func start(_ fixture: StoreFixture, keys: String) async throws -> StoreError? {
        try await LoopGroup.withLoops(count: 1) { loops in
            let store = try StoreFixture.make(url: fixture.database.url, keys: keys, loops: loops)
            return try await withThrowingTaskGroup(of: StoreError?.self) { group in
                group.addTask { await failure { try await store.run() } }
                group.addTask {
                    _ = try await eventually("the store being connected") { store.isAvailable ? true : nil }
                    return nil
                }
                defer { group.cancelAll() }
                return try await group.next() ?? nil
            }
        }
    }

    private func rotate(_ fixture: StoreFixture, keys: String = newFirst) async throws -> KeyRotation {
        try await LoopGroup.withLoops(count: 1) { loops in
            try await StoreFixture.make(url: fixture.database.url, keys: keys, loops: loops).rotateKeys()
        }
    }

    private func open(_ fixture: StoreFixture, with store: ConfigurationStore) async throws -> String {
        let key = try await store.projectKey(environmentID: fixture.environmentID)
        let entry = try #require(try await store.entry(environmentID: fixture.environmentID, name: "S"))
        return try key.open(entry.value?.text ?? "", environmentID: fixture.environmentID, name: "S", version: entry.version)
    }

    @Test("Without downtime: old, mixed and new instances side by side, then the old key goes")
    func withoutDowntime() async throws {
        try await StoreFixture.with { fixture in
            try await fixture.set("S", text, kind: .secret)
            // More than one batch of them.
            for index in 0..<230 { _ = try await fixture.store.createProject(workspace: "acme", slug: "p\(index)", actor: "root") }
            let url = fixture.database.url
            try await StoreFixture.withStore(url: url, keys: Self.oldFirst) { oldFirst in
                try await StoreFixture.withStore(url: url, keys: Self.newFirst) { newFirst in
                    let rotation = try await rotate(fixture)
                    #expect(rotation.keyID == "two" && rotation.rewrapped == 231 && rotation.projects == 231 && rotation.isComplete)
                    #expect(try await rotate(fixture).rewrapped == 0)
                    // All of them read and write the same secrets; the oldest one has the data key in memory.
                    for store in [fixture.store, oldFirst, newFirst] {
                        #expect(try await open(fixture, with: store) == text)
                        let change = EntryChange(name: "S2", op: .set(UUID().uuidString), kind: .secret)
                        let mutation = Mutation(environmentID: fixture.environmentID, changes: [change], actor: "root")
                        #expect(try await store.mutate(mutation).changes.count == 1)
                    }
                    // Made by one that still has the old key first, and found by a second run.
                    _ = try await oldFirst.createProject(workspace: "acme", slug: "late", actor: "root")
                    let early = try await start(fixture, keys: Self.two)
                    #expect(early?.code == .masterKeyMissing && early?.message.contains("'one' (1 project)") == true)
                    #expect(early?.message.contains("keyvane keys rotate") == true)
                    #expect(try await rotate(fixture).rewrapped == 1)
                }
            }
            // The canary has moved as well.
            #expect(try await start(fixture, keys: Self.two) == nil)
            let late = try await start(fixture, keys: Self.one)
            #expect(late?.code == .masterKeyMissing && late?.message.contains("'two' (232 projects)") == true)
            let wrong = try await start(fixture, keys: Self.one.replacingOccurrences(of: "one:", with: "two:"))
            #expect(wrong?.code == .masterKeyWrong && wrong?.message.contains("'two'") == true)
            // And back again.
            #expect(try await rotate(fixture, keys: Self.oldFirst).rewrapped == 232)
            #expect(try await start(fixture, keys: Self.one) == nil)
        }
    }

    @Test("An instance without the new key says so in its log, and harms nothing")
    func oldInstance() async throws {
        try await StoreFixture.with { fixture in
            try await fixture.set("S", text, kind: .secret)
            let lines = Events<String>()
            try await LoopGroup.withLoops(count: 1) { loops in
                let store = try ConfigurationStore(
                    configuration: StoreConfiguration(url: fixture.database.url),
                    keyRing: KeyRing(parsing: Self.one),
                    loops: loops,
                    logger: Logger(label: "old") { _ in LogLines(lines) }
                )
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await store.run() }
                    defer { group.cancelAll() }
                    _ = try await eventually("the store being connected") { store.isAvailable ? true : nil }
                    _ = try await rotate(fixture)
                    await expectRefusal(.masterKeyMissing) { try await store.projectKey(environmentID: fixture.environmentID) }
                    let change = EntryChange(name: "S", op: .set("other"), kind: .secret)
                    let mutation = Mutation(environmentID: fixture.environmentID, changes: [change], actor: "root")
                    await expectRefusal(.masterKeyMissing) { try await store.mutate(mutation) }
                    // Variables need no key.
                    let plain = EntryChange(name: "V", op: .set("1"), kind: .variable)
                    _ = try await store.mutate(Mutation(environmentID: fixture.environmentID, changes: [plain], actor: "root"))
                }
            }
            let said = lines.all.filter { $0.hasPrefix("error project_key_unreadable") }
            #expect(said.count == 2)
            #expect(said.allSatisfy { $0.contains("'two'") && $0.contains(fixture.environmentID.uuidString.lowercased()) })
            #expect(try await open(fixture, with: fixture.store) == text)
            #expect(try await fixture.revision() == 2)
        }
    }

    @Test("Interrupted, or run twice at once, it ends the same")
    func interrupted() async throws {
        try await StoreFixture.with { fixture in
            try await fixture.set("S", text, kind: .secret)
            for index in 0..<250 { _ = try await fixture.store.createProject(workspace: "acme", slug: "p\(index)", actor: "root") }
            let done = Events<Int>()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<3 {
                    group.addTask { done.emit(try await rotate(fixture).rewrapped) }
                }
                group.addTask {
                    // Until one is through, then the others may pass.
                    while done.all.isEmpty, !Task.isCancelled {
                        let batches = "FROM pg_stat_activity WHERE query LIKE 'WITH done AS%' AND pid <> pg_backend_pid()"
                        try await fixture.database.sql("SELECT pg_terminate_backend(pid) \(batches)")
                    }
                }
                try await group.waitForAll()
            }
            // An answer may have been lost with its connection, a key never is.
            #expect(done.all.reduce(0, +) <= 251)
            #expect(try await fixture.database.sql("SELECT master_key_id, count(*) FROM keyvane.project GROUP BY 1") == ["two|251"])
            #expect(try await start(fixture, keys: Self.two) == nil)
            let found = try await StoreFixture.withStore(url: fixture.database.url, keys: Self.two) { try await open(fixture, with: $0) }
            #expect(found == text)
        }
    }

    @Test("A key that can't be opened is named and holds up no other")
    func unreadable() async throws {
        try await StoreFixture.with { fixture in
            for index in 0..<5 { _ = try await fixture.store.createProject(workspace: "acme", slug: "p\(index)", actor: "root") }
            let broken = try await fixture.store.project(workspace: "acme", slug: "p3")
            // Bound to its own project, it doesn't open another one's secrets either. The first by id is tried at start.
            let first = try await fixture.database.sql("SELECT id FROM keyvane.project ORDER BY id LIMIT 1").first
            let victim = first == broken.id.uuidString.lowercased() ? "p4" : "p3"
            let id = try await fixture.store.project(workspace: "acme", slug: victim).id.uuidString.lowercased()
            try await fixture.database.sql(
                """
                UPDATE keyvane.project SET wrapped_key = (SELECT wrapped_key FROM keyvane.project WHERE slug = 'web')
                WHERE slug = '\(victim)'
                """
            )
            let rotation = try await rotate(fixture)
            #expect(rotation.unreadable == [id] && rotation.rewrapped == 5 && rotation.remaining == ["one": 1] && !rotation.isComplete)
        }
    }
}

/// Hands on each line as `level message key=value…`.
private struct LogLines: LogHandler {
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.trace
    private let lines: Events<String>

    init(_ lines: Events<String>) {
        self.lines = lines
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let values = (event.metadata ?? [:]).map { "\($0.key)=\($0.value)" }.sorted().joined(separator: " ")
        lines.emit("\(event.level) \(event.message) \(values)")
    }
}
