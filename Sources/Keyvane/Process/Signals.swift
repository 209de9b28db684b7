// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Reactor

/// Signals as they arrive; nothing else of the process hears of them.
enum Signals {
    static let stop = [SIGTERM, SIGINT]

    static func watch(_ numbers: [Int32], on loop: Loop) async throws -> AsyncStream<Int32> {
        let (signals, continuation) = AsyncStream.makeStream(of: Int32.self, bufferingPolicy: .bufferingOldest(8))
        try await loop.run {
            for number in numbers {
                // The loop keeps the watchers until it ends.
                _ = try SignalWatcher(number, on: loop) { continuation.yield(number) }
            }
        }
        return signals
    }
}
