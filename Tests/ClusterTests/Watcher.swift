// Keyvane
// SPDX-License-Identifier: Apache-2.0

import KeyvaneClient
import TestSupport

/// A watcher on one address, which keeps what it gets. Runs in a task of `withWatchers`.
final class Watcher: Sendable {
    enum Event: Sendable {
        case connected(gateway: String)
        case state(revision: Int, entries: [String: String], cursor: WatchCursor)
        case change(WatchChange, previous: Int, frame: Int, cursor: WatchCursor)
        case disconnected
    }

    let events = Events<Event>()
    private let url: String
    private let token: String
    private let since: WatchCursor?

    init(url: String, token: String, since: WatchCursor? = nil) {
        self.url = url
        self.token = token
        self.since = since
    }

    func run() async throws {
        let client = try ConfigurationClient(ClientSettings(url: url, token: token))
        for try await event in client.events(Cluster.environmentPath, since: since) {
            switch event {
            case .connected(let connection): events.emit(.connected(gateway: connection.gateway))
            case .snapshot(let snapshot):
                let entries = Dictionary(uniqueKeysWithValues: snapshot.entries.map { ($0.name, $0.value) })
                events.emit(.state(revision: snapshot.revision, entries: entries, cursor: snapshot.cursor))
            case .changes(let changes):
                for change in changes.changes {
                    events.emit(.change(change, previous: changes.previousRevision, frame: changes.revision, cursor: changes.cursor))
                }
            case .disconnected: events.emit(.disconnected)
            }
        }
    }

    /// Revisions of the changes, as they came.
    var revisions: [Int] { events.all.compactMap(\.revision) }

    var gateway: String? {
        for case .connected(let gateway) in events.all.reversed() { return gateway }
        return nil
    }

    /// Where the last frame has led to.
    var cursor: WatchCursor? {
        for event in events.all.reversed() {
            switch event {
            case .state(_, _, let cursor), .change(_, _, _, let cursor): return cursor
            case .connected, .disconnected: continue
            }
        }
        return nil
    }

    func started() async throws {
        try await events.until("a first state") { events in
            events.contains { if case .state = $0 { true } else { false } }
        }
    }

    func reached(_ revision: Int, within limit: Duration = .seconds(20)) async throws {
        try await events.until(within: limit, "revision \(revision)") { events in
            events.contains { event in
                switch event {
                case .state(let head, _, _): head >= revision
                case .change(let change, _, _, _): change.revision >= revision
                case .connected, .disconnected: false
                }
            }
        }
    }
}

extension Watcher.Event {
    var revision: Int? {
        if case .change(let change, _, _, _) = self { change.revision } else { nil }
    }
}

/// Runs the watchers beside `body`, which sees them started.
func withWatchers(_ watchers: [Watcher], _ body: @escaping @Sendable () async throws -> Void) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
        for watcher in watchers { group.addTask { try await watcher.run() } }
        group.addTask {
            for watcher in watchers where watcher.cursor == nil { try await watcher.started() }
            try await body()
        }
        try await group.next()
        group.cancelAll()
    }
}

extension Cluster {
    /// One watcher on each gateway's own address.
    func watchers() throws -> [Watcher] {
        let state = try state
        return state.gateways.map { Watcher(url: "http://\($0.address)", token: state.token) }
    }
}
