// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// A result that is set once and that any number of tasks wait for. Guarded by its mutex.
final class Latch<Value: Sendable>: Sendable {
    private enum State {
        case waiting([CheckedContinuation<Value, any Error>])
        case done(Result<Value, any Error>)
    }

    private let state = Mutex(State.waiting([]))

    /// Only the first result counts: a service that ends after it has listened doesn't take its address back.
    func set(_ result: Result<Value, any Error>) {
        let waiters: [CheckedContinuation<Value, any Error>] = state.withLock { state in
            guard case .waiting(let waiters) = state else { return [] }
            state = .done(result)
            return waiters
        }
        // Outside of the mutex: a resumed task may come right back.
        for waiter in waiters { waiter.resume(with: result) }
    }

    /// At once where the result is there already.
    func value() async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            let result: Result<Value, any Error>? = state.withLock { state in
                switch state {
                case .waiting(let waiters):
                    state = .waiting(waiters + [continuation])
                    return nil
                case .done(let result):
                    return result
                }
            }
            if let result { continuation.resume(with: result) }
        }
    }
}
