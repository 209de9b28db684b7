// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Logging
import Store
import Synchronization
import TestSupport
import Testing

@Suite("Audit")
struct AuditTests {
    /// PostgreSQL as the test wants it.
    private final class Sink: Sendable {
        let written = Events<[AuditNote]>()
        let attempts = Events<Int>()
        private let isAway = Mutex(false)

        func setAway(_ away: Bool) { isAway.withLock { $0 = away } }

        func write(_ notes: [AuditNote]) throws(StoreError) {
            attempts.emit(notes.count)
            if isAway.withLock({ $0 }) { throw StoreError(.unavailable, "the test took PostgreSQL away") }
            written.emit(notes)
        }
    }

    private func note(_ target: String) -> AuditNote {
        AuditNote(actor: "root", action: "secret.read", place: "acme/web/production", target: target)
    }

    @Test("Notes are written once, whatever happens on the way; a full queue takes no more but what was promised")
    func queue() async throws {
        let sink = Sink()
        let lines = Events<String>()
        let logger = Logger(label: "audit-tests") { _ in LogLines(lines) }
        let queue = AuditQueue(limit: 1_000, logger: logger) { notes throws(StoreError) in try sink.write(notes) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await queue.run() }
            #expect(queue.append(note("A")))
            try await sink.written.until { !$0.isEmpty }
            sink.setAway(true)
            var taken: [String] = []
            while queue.hasRoom, queue.append(note("N\(taken.count)")) { taken.append("N\(taken.count)") }
            #expect(taken.count >= 3)
            #expect(!queue.append(note("refused")))
            #expect(queue.append(note("promised"), isPromised: true))
            // It tries and tries.
            try await sink.attempts.until { $0.count >= 3 }
            sink.setAway(false)
            let expected = ["A"] + taken + ["promised"]
            let written = try await sink.written.until { $0.joined().count == expected.count }
            #expect(written.joined().map(\.target) == expected)
            #expect(queue.hasRoom)
            group.cancelAll()
        }
        // What comes while it ends is written at its end.
        let last = AuditQueue(limit: 1_000, logger: logger) { notes throws(StoreError) in try sink.write(notes) }
        #expect(last.append(note("last")))
        let task = Task { await last.run() }
        task.cancel()
        await task.value
        #expect(sink.written.all.last?.map(\.target) == ["last"])
        // An outage is two lines, however long it lasts.
        #expect(lines.all == ["warning audit rows not written", "notice audit rows are written again"])
    }

    @Test("What PostgreSQL doesn't take in the end is counted in the log")
    func lost() async throws {
        let sink = Sink()
        sink.setAway(true)
        let lines = Events<String>()
        let logger = Logger(label: "audit-tests") { _ in LogLines(lines) }
        let queue = AuditQueue(limit: 1_000, logger: logger) { notes throws(StoreError) in try sink.write(notes) }
        #expect(queue.append(note("A")) && queue.append(note("B")))
        let task = Task { await queue.run() }
        task.cancel()
        await task.value
        #expect(sink.attempts.all.count > 1)
        #expect(lines.all == ["warning audit rows not written", "error audit rows lost rows=2"])
    }

    @Test("Notes sent twice are one row each; pages are newest first and cut to places")
    func rows() async throws {
        try await StoreFixture.with { fixture in
            let store = fixture.store
            let notes = ["A", "B"].map(note)
            try await store.record(notes)
            try await store.record(notes)
            try await store.record([AuditNote(actor: "root", action: "instance.drain", place: "*", target: "api-1")])
            let page = try await store.audit(workspace: "acme", PageRequest(limit: 2))
            #expect(Set(page.items.map(\.target)) == ["acme/web/production/A", "acme/web/production/B"])
            let rest = try await store.audit(workspace: "acme", PageRequest(limit: 9, after: page.nextCursor))
            #expect(rest.items.map(\.action) == ["environment.create", "project.create", "workspace.create"])
            let part = try await store.audit(workspace: "acme", PageRequest(), within: ["acme/we", "acme/web/prod"])
            #expect(part.items.isEmpty)
            let production = try await store.audit(workspace: "acme", PageRequest(), within: ["acme/web/production"])
            #expect(production.items.count == 3)
            #expect(try await store.audit(workspace: "*", PageRequest()).items.map(\.target) == ["api-1"])
            await expectRefusal(.invalid) { try await store.audit(workspace: "acme", PageRequest(after: "x")) }
        }
    }
}

/// Hands on each line as `level message`, and how many rows it is about.
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
        lines.emit("\(event.level) \(event.message)\(event.metadata?["rows"].map { " rows=\($0)" } ?? "")")
    }
}
