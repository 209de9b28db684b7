// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor

/// Runs work at every interval and early when poked; what comes while it runs makes one more run. An actor on its loop.
actor Wakeups {
    private nonisolated let loop: Loop
    private let interval: Duration
    private nonisolated let stream: AsyncStream<Void>
    private nonisolated let continuation: AsyncStream<Void>.Continuation
    private var timer: LoopTimer?

    init(every interval: Duration, on loop: Loop) {
        self.interval = interval
        self.loop = loop
        // One waiting wake-up stands for all.
        (stream, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    nonisolated func poke() {
        continuation.yield()
    }

    /// Calls `body` at once and then at each wake-up, one at a time, until the task is cancelled.
    nonisolated func forEach(_ body: () async -> Void) async {
        await start()
        poke()
        for await _ in stream { await body() }
        await stop()
    }

    private func start() {
        timer = loop.every(interval) { [continuation] in continuation.yield() }
    }

    private func stop() {
        timer?.cancel()
        timer = nil
    }
}
