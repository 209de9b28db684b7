// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// Hands events from the session's event loop to the one consumer. Guarded by its own mutex; the consumer is resumed outside of it.
final class WatchBuffer: Sendable {
    typealias Next = Result<WatchEvent?, ClientError>

    private struct State {
        var queue: WatchEventQueue
        var waiting: CheckedContinuation<Next, Never>?
        /// What the consumer gets after the last event: an error once, and then nil.
        var end: Next?
    }

    private let state: Mutex<State>

    init(limit: Int, hardLimit: Int) {
        state = Mutex(State(queue: WatchEventQueue(limit: limit, hardLimit: hardLimit)))
    }

    /// False says that events were dropped, and that a snapshot must follow.
    func append(_ event: WatchEvent) -> Bool {
        var waiting: CheckedContinuation<Next, Never>?
        let isComplete = state.withLock { state -> Bool in
            // Stopped, or ended: nobody will ask for it.
            if state.end != nil { return true }
            waiting = state.waiting.take()
            return waiting != nil || state.queue.append(event)
        }
        waiting?.resume(returning: .success(event))
        return isComplete
    }

    /// Ends the sequence after the events that wait.
    func finish(_ error: ClientError) {
        let waiting = state.withLock { state -> CheckedContinuation<Next, Never>? in
            guard state.end == nil else { return nil }
            let waiting = state.waiting.take()
            state.end = waiting == nil ? .failure(error) : .success(nil)
            return waiting
        }
        waiting?.resume(returning: .failure(error))
    }

    /// Ends the sequence now.
    func cancel() {
        let waiting = state.withLock { state -> CheckedContinuation<Next, Never>? in
            state.end = .success(nil)
            state.queue.removeAll()
            return state.waiting.take()
        }
        waiting?.resume(returning: .success(nil))
    }

    func next() async -> Next {
        await withCheckedContinuation { continuation in
            let ready = state.withLock { state -> Next? in
                if let event = state.queue.popFirst() { return .success(event) }
                if let end = state.end {
                    state.end = .success(nil)
                    return end
                }
                precondition(state.waiting == nil, "a watch has one consumer at a time")
                state.waiting = continuation
                return nil
            }
            if let ready { continuation.resume(returning: ready) }
        }
    }
}
