// Keyvane
// SPDX-License-Identifier: Apache-2.0

import KeyvaneClient
import Synchronization

/// One watcher of the demo: on its own gateway first, and on the next one when that dies. Guarded by its mutex.
final class DemoWatcher: Sendable {
    struct Arrival: Sendable {
        let gateway: String
        let revision: Int
        let at: ContinuousClock.Instant
    }

    private struct State {
        var gateway = ""
        var head: Int?
        var arrivals: [Arrival] = []
        /// A change that came twice, out of order, or after a missing one.
        var fault: String?
    }

    private let urls: [String]
    private let token: String
    private let environment: String
    private let state = Mutex(State())

    /// - Parameter urls: gateways in the order they are tried.
    init(urls: [String], token: String, environment: String) {
        self.urls = urls
        self.token = token
        self.environment = environment
    }

    /// Nil until the watcher has its first state.
    var head: Int? { state.withLock { $0.head } }
    var fault: String? { state.withLock { $0.fault } }

    func arrival(of revision: Int) -> Arrival? {
        state.withLock { $0.arrivals.first { $0.revision == revision } }
    }

    /// Watches until cancelled. A lost connection moves on to the next gateway with the cursor of the last frame.
    func run() async throws {
        var cursor: WatchCursor?
        var position = 0
        while !Task.isCancelled {
            let client = try ConfigurationClient(ClientSettings(url: urls[position % urls.count], token: token))
            events: for try await event in client.events(environment, since: cursor) {
                switch event {
                case .connected(let connection): state.withLock { $0.gateway = connection.gateway }
                case .snapshot(let snapshot):
                    cursor = snapshot.cursor
                    state.withLock { $0.head = snapshot.revision }
                case .changes(let changes):
                    cursor = changes.cursor
                    received(changes)
                case .disconnected: break events
                }
            }
            position += 1
        }
    }

    private func received(_ changes: WatchChanges) {
        let now = ContinuousClock.now
        state.withLock { state in
            for change in changes.changes {
                if let head = state.head, change.revision != head + 1 {
                    state.fault = state.fault ?? "revision \(change.revision) came after \(head)"
                }
                state.head = change.revision
                state.arrivals.append(Arrival(gateway: state.gateway, revision: change.revision, at: now))
            }
        }
    }
}
