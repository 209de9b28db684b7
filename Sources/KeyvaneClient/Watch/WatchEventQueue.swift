// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// The events that wait for a consumer. Up to a limit they wait one by one; beyond it they become the newest state: a snapshot
/// with the later changes in it, or one list with the newest change per name.
package struct WatchEventQueue: Sendable {
    private let limit: Int
    private let hardLimit: Int
    private var events: [WatchEvent] = []
    private var size = 0
    // Merging costs as much as the state is large, so the next one is due only when as much again has come.
    private var threshold: Int

    /// - Parameters:
    ///   - limit: bytes that may wait one by one.
    ///   - hardLimit: bytes that even a merged list of changes may not exceed: deleted names stay in it, so it has no bound of its own.
    package init(limit: Int, hardLimit: Int) {
        self.limit = limit
        self.hardLimit = hardLimit
        threshold = limit
    }

    package var isEmpty: Bool { events.isEmpty }

    /// False says that the events were dropped because they were too many even when merged; a snapshot must follow.
    package mutating func append(_ event: WatchEvent) -> Bool {
        if case .snapshot = event {
            // Whatever the state was, the consumer needn't pass through it any more.
            events.removeAll { $0.isState }
            size = events.reduce(0) { $0 + $1.size }
        }
        events.append(event)
        size += event.size
        guard size > threshold else { return true }
        merge()
        threshold = max(limit, size * 2)
        guard size > hardLimit, events.contains(where: \.isChanges) else { return true }
        events.removeAll { $0.isState }
        size = events.reduce(0) { $0 + $1.size }
        threshold = limit
        return false
    }

    package mutating func popFirst() -> WatchEvent? {
        guard !events.isEmpty else { return nil }
        let event = events.removeFirst()
        size -= event.size
        if events.isEmpty { threshold = limit }
        return event
    }

    package mutating func removeAll() {
        events.removeAll()
        size = 0
        threshold = limit
    }

    private mutating func merge() {
        var connection: WatchEvent?
        var configuration: EnvironmentConfiguration?
        var first: WatchChanges?
        var last: WatchChanges?
        var newest: [String: WatchChange] = [:]
        for event in events {
            switch event {
            case .connected, .disconnected:
                connection = event
            case .snapshot(let snapshot):
                configuration = EnvironmentConfiguration(snapshot)
            case .changes(let changes):
                if configuration != nil {
                    configuration?.apply(changes)
                } else {
                    first = first ?? changes
                    last = changes
                    for change in changes.changes { newest[change.name] = change }
                }
            }
        }
        events = connection.map { [$0] } ?? []
        if let configuration {
            events.append(.snapshot(WatchSnapshot(configuration)))
        } else if let first, let last {
            events.append(
                .changes(
                    WatchChanges(
                        environment: last.environment,
                        environmentId: last.environmentId,
                        previousRevision: first.previousRevision,
                        revision: last.revision,
                        cursor: last.cursor,
                        changes: newest.values.sorted { $0.revision < $1.revision }
                    )
                )
            )
        }
        size = events.reduce(0) { $0 + $1.size }
    }
}

extension WatchEvent {
    fileprivate var isChanges: Bool {
        switch self {
        case .changes: true
        case .connected, .disconnected, .snapshot: false
        }
    }

    fileprivate var isState: Bool {
        switch self {
        case .changes, .snapshot: true
        case .connected, .disconnected: false
        }
    }

    /// About the memory that it takes.
    fileprivate var size: Int {
        switch self {
        case .connected, .disconnected: 256
        case .snapshot(let snapshot): snapshot.entries.reduce(256) { $0 + $1.name.utf8.count + $1.value.utf8.count + 128 }
        case .changes(let changes): changes.changes.reduce(256) { $0 + $1.name.utf8.count + ($1.value?.utf8.count ?? 0) + 192 }
        }
    }
}

extension WatchSnapshot {
    fileprivate init(_ configuration: EnvironmentConfiguration) {
        self.init(
            environment: configuration.environment,
            environmentId: configuration.environmentId,
            revision: configuration.revision,
            cursor: configuration.cursor,
            entries: configuration.entries
        )
    }
}
