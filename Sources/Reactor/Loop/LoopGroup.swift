// Keyvane
// SPDX-License-Identifier: Apache-2.0

import CUV
import Glibc
import Synchronization

/// A fixed set of loops, each on its own thread. Owned by the caller: `withLoops` lends one and ends it.
package final class LoopGroup: Sendable {
    package let loops: [Loop]
    private let threads: Mutex<[pthread_t]>
    private let turn = Atomic<Int>(0)

    private init(count: Int, name: String) throws(ReactorError) {
        precondition(count > 0, "a loop group needs a loop")
        // Writes to a socket whose peer is gone must be errors, not the end of the process.
        signal(SIGPIPE, SIG_IGN)
        var loops: [Loop] = []
        for index in 0..<count { loops.append(try Loop(index: index, name: name)) }
        self.loops = loops
        var threads: [pthread_t] = []
        for loop in loops {
            var thread = pthread_t()
            let context = Unmanaged.passRetained(loop).toOpaque()
            let status = pthread_create(&thread, nil, { Loop.threadMain($0) }, context)
            precondition(status == 0, "no thread for an event loop: \(String(cString: strerror(status)))")
            threads.append(thread)
        }
        self.threads = Mutex(threads)
    }

    /// Runs `body` with `count` loops, and ends them however it returns. Connections that are still open are closed without ceremony.
    @discardableResult
    package static func withLoops<Value>(
        count: Int,
        name: String = "loop",
        isolation: isolated (any Actor)? = #isolation,
        _ body: (LoopGroup) async throws -> Value
    ) async throws -> Value {
        let group = try LoopGroup(count: count, name: name)
        do {
            let value = try await body(group)
            group.shutdown()
            return value
        } catch {
            group.shutdown()
            throw error
        }
    }

    /// One loop after the other.
    package func next() -> Loop {
        let position = turn.wrappingAdd(1, ordering: .relaxed).oldValue
        return loops[Int(UInt(bitPattern: position) % UInt(loops.count))]
    }

    /// CPUs this process may run on: containers and `taskset` narrow it below the machine's.
    package static var usableProcessors: Int {
        Int(uv_available_parallelism())
    }

    private func shutdown() {
        let threads = threads.withLock { exchange(&$0, with: []) }
        for loop in loops { loop.stop() }
        for thread in threads { pthread_join(thread, nil) }
    }
}

extension Loop {
    fileprivate static func threadMain(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
        guard let context else { return nil }
        Unmanaged<Loop>.fromOpaque(context).takeRetainedValue().runUntilStopped()
        return nil
    }
}
