// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Synchronization
import TestSupport

/// Does one thing again and again until it is told to stop. What went wrong is kept.
final class Caller: Sendable {
    let done = Mutex(0)
    let failures = Events<String>()
    private let isOver = Mutex(false)

    func stop() { isOver.withLock { $0 = true } }

    func run(_ call: @Sendable () async throws -> String?) async {
        while !isOver.withLock({ $0 }) {
            do {
                if let failure = try await call() { failures.emit(failure) }
            } catch {
                failures.emit("\(error)")
            }
            done.withLock { $0 += 1 }
        }
    }

    /// Until each has called so often again.
    static func progress(_ callers: [Caller], _ count: Int = 20) async throws {
        let before = callers.map { $0.done.withLock { $0 } }
        _ = try await eventually(within: .seconds(40), "\(count) calls of each") { () -> Bool? in
            zip(callers, before).allSatisfy { caller, before in caller.done.withLock { $0 } >= before + count } ? true : nil
        }
    }
}
