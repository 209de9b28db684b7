// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Waits for children on a thread of its own: for the program, for its guard, and, as the first process of a container, for every orphan.
enum ChildWatch {
    enum Event: Sendable {
        case ended(pid_t, ChildEnd)
        /// By Ctrl-Z, or by reading from a terminal that it doesn't have.
        case stopped(pid_t, signal: Int32)
    }

    /// Begins to wait; the thread ends with the process.
    static func begin(_ report: @escaping @Sendable (Event) -> Void) {
        let thread = WaitThread(report)
        var identifier = pthread_t()
        pthread_create(
            &identifier,
            nil,
            { pointer in
                guard let pointer else { return nil }
                Unmanaged<WaitThread>.fromOpaque(pointer).takeRetainedValue().run()
                return nil
            },
            Unmanaged.passRetained(thread).toOpaque()
        )
        pthread_detach(identifier)
    }

    private final class WaitThread: Sendable {
        private let report: @Sendable (Event) -> Void

        init(_ report: @escaping @Sendable (Event) -> Void) {
            self.report = report
        }

        func run() {
            var status: Int32 = 0
            while true {
                let pid = waitpid(-1, &status, WUNTRACED)
                guard pid > 0 else {
                    // No child at this moment: the guard was killed, and the program is being started again.
                    if errno == ECHILD { usleep(20_000) }
                    continue
                }
                let low = status & 0x7F
                if low == 0 {
                    report(.ended(pid, .exited((status >> 8) & 0xFF)))
                } else if status & 0xFF == 0x7F {
                    report(.stopped(pid, signal: (status >> 8) & 0xFF))
                } else {
                    report(.ended(pid, .killed(low)))
                }
            }
        }
    }
}
