// Keyvane
// SPDX-License-Identifier: Apache-2.0

import KeyvaneClient
import Testing

@Suite("Events that wait for a slow consumer")
struct WatchEventQueueTests {
    private static let interruption = WatchEvent.disconnected(
        WatchInterruption(error: ClientError(code: "connection_lost", message: "Lost."), retryAfter: .zero)
    )

    @Test("come one by one below the limit")
    func below() {
        var queue = WatchEventQueue(limit: 100_000, hardLimit: 1_000_000)
        let events: [WatchEvent] = [
            .snapshot(GoldenMessages.snapshot(1, ["A": "1"])), .changes(GoldenMessages.changes(1, 2, [("A", "2")])), Self.interruption,
            .changes(GoldenMessages.changes(2, 3, [("A", "3")])),
        ]
        for event in events { #expect(queue.append(event) == true) }
        #expect(Self.drain(&queue) == events)
        #expect(queue.isEmpty)
    }

    @Test("a snapshot takes the place of the state before it, not of what is known of the connection")
    func snapshot() {
        var queue = WatchEventQueue(limit: 100_000, hardLimit: 1_000_000)
        let snapshot = WatchEvent.snapshot(GoldenMessages.snapshot(9, ["A": "9"]))
        for event in [.changes(GoldenMessages.changes(1, 2, [("A", "2")])), Self.interruption, snapshot] {
            #expect(queue.append(event) == true)
        }
        #expect(Self.drain(&queue) == [Self.interruption, snapshot])
    }

    @Test("beyond the limit are the newest change per name, deletes included")
    func changes() {
        var queue = WatchEventQueue(limit: 1_000, hardLimit: 1_000_000)
        #expect(queue.append(Self.interruption) == true)
        for revision in 1...100 {
            let value = revision == 100 ? nil : "value \(revision)"
            #expect(queue.append(.changes(GoldenMessages.changes(revision - 1, revision, [("N\(revision % 2)", value)]))) == true)
        }
        #expect(queue.append(.changes(GoldenMessages.changes(100, 100, mark: "z", []))) == true)
        var configuration = EnvironmentConfiguration(GoldenMessages.snapshot(0, ["N0": "old", "N1": "old", "KEEP": "kept"]))
        var revision = 0
        var count = 0
        for event in Self.drain(&queue) {
            guard case .changes(let changes) = event else { continue }
            #expect(changes.previousRevision == revision)
            #expect(changes.changes.map(\.revision) == changes.changes.map(\.revision).sorted())
            configuration.apply(changes)
            revision = changes.revision
            count += 1
        }
        #expect(count < 10)
        #expect(revision == 100)
        #expect(configuration.values == ["N1": "value 99", "KEEP": "kept"])
        #expect(configuration.cursor == GoldenMessages.cursor(100, "z"))
    }

    @Test("beyond the limit after a snapshot are one snapshot of the newest state")
    func mergedSnapshot() {
        var queue = WatchEventQueue(limit: 1_000, hardLimit: 1_000_000)
        #expect(queue.append(.snapshot(GoldenMessages.snapshot(1, ["A": "1", "B": "1"]))) == true)
        for revision in 2...50 {
            #expect(queue.append(.changes(GoldenMessages.changes(revision - 1, revision, [("A", "\(revision)")]))) == true)
        }
        guard case .snapshot(let snapshot) = queue.popFirst() else {
            Issue.record("no snapshot")
            return
        }
        var configuration = EnvironmentConfiguration(snapshot)
        for event in Self.drain(&queue) { if case .changes(let changes) = event { configuration.apply(changes) } }
        #expect(configuration.values == ["A": "50", "B": "1"])
        #expect(configuration.revision == 50)
    }

    @Test("a connection that flaps doesn't fill the memory of a consumer that sleeps")
    func flapping() {
        var queue = WatchEventQueue(limit: 2_000, hardLimit: 1_000_000)
        for _ in 0..<10_000 { #expect(queue.append(Self.interruption) == true) }
        #expect(Self.drain(&queue).count < 20)
    }

    @Test("ever new names, which merge to nothing smaller, are dropped at the hard limit for a snapshot to follow")
    func overflow() {
        var queue = WatchEventQueue(limit: 1_000, hardLimit: 10_000)
        var overflows = 0
        for revision in 1...200 where !queue.append(.changes(GoldenMessages.changes(revision - 1, revision, [("N\(revision)", "v")]))) {
            overflows += 1
            #expect(queue.isEmpty)
        }
        #expect(overflows > 0)
    }

    private static func drain(_ queue: inout WatchEventQueue) -> [WatchEvent] {
        var events: [WatchEvent] = []
        while let event = queue.popFirst() { events.append(event) }
        return events
    }
}
