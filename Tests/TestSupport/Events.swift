// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// What a test waits for did not come in time.
package struct DeadlinePassed: Error, CustomStringConvertible {
    package let description: String

    package init(_ description: String) {
        self.description = description
    }
}

/// Things that happened, in order, reported from any thread and awaited by one test with a deadline instead of a sleep.
package final class Events<Event: Sendable>: Sendable {
    private struct State {
        var events: [Event] = []
        var waiting: [Int: CheckedContinuation<Void, Never>] = [:]
        var nextWaiter = 0
    }

    private let state = Mutex(State())

    package init() {}

    package func emit(_ event: Event) {
        let waiting = state.withLock { state in
            state.events.append(event)
            defer { state.waiting = [:] }
            return state.waiting.values
        }
        for continuation in waiting { continuation.resume() }
    }

    package var all: [Event] { state.withLock { $0.events } }

    /// The events so far, as soon as they satisfy `condition`.
    @discardableResult
    package func until(
        within limit: Duration = .seconds(90),
        _ what: String = "an event",
        _ condition: @escaping @Sendable ([Event]) -> Bool
    ) async throws -> [Event] {
        try await withDeadline(limit, what) { [self] in
            while true {
                let seen = all
                if condition(seen) { return seen }
                await changed(after: seen.count)
                try Task.checkCancellation()
            }
        }
    }

    /// The first event.
    package func first(within limit: Duration = .seconds(90), _ what: String = "an event") async throws -> Event {
        let events = try await until(within: limit, what) { !$0.isEmpty }
        return events[0]
    }

    private func changed(after count: Int) async {
        let id = state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isDue = state.withLock { state in
                    guard state.events.count == count, !Task.isCancelled else { return true }
                    state.waiting[id] = continuation
                    return false
                }
                if isDue { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.waiting.removeValue(forKey: id) }?.resume()
        }
    }
}

/// Runs `body`, and fails with `what` when it takes longer than `limit`.
package func withDeadline<Value: Sendable>(
    _ limit: Duration = .seconds(90),
    _ what: String,
    _ body: @escaping @Sendable () async throws -> Value
) async throws -> Value {
    try await withThrowingTaskGroup(of: Value.self) { group in
        group.addTask { try await body() }
        group.addTask {
            try await ContinuousClock().sleep(for: limit)
            throw DeadlinePassed("\(what) did not come within \(limit)")
        }
        defer { group.cancelAll() }
        guard let value = try await group.next() else { throw DeadlinePassed(what) }
        return value
    }
}

/// Repeats `probe` until it gives a value: for states that nothing announces, such as a port that another process opens.
package func eventually<Value: Sendable>(
    within limit: Duration = .seconds(90),
    every interval: Duration = .milliseconds(20),
    _ what: String,
    _ probe: @escaping @Sendable () async throws -> Value?
) async throws -> Value {
    try await withDeadline(limit, what) {
        while true {
            if let value = try await probe() { return value }
            try await ContinuousClock().sleep(for: interval)
        }
    }
}
