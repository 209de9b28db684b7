// Keyvane
// SPDX-License-Identifier: Apache-2.0

import CUV

/// A timer of one loop, in milliseconds resolution; lives until it fired (once) or is cancelled, also when nobody keeps it.
package final class LoopTimer: LoopHandle {
    private var body: (() -> Void)?
    private let repeats: Bool

    fileprivate init(loop: Loop, delay: Duration, repeats: Bool, body: @escaping () -> Void) throws(ReactorError) {
        self.repeats = repeats
        self.body = body
        try super.init(loop: loop, size: MemoryLayout<uv_timer_t>.size) {
            uv_timer_init(loop.uv, $0.assumingMemoryBound(to: uv_timer_t.self))
        }
        start(delay)
    }

    private func start(_ delay: Duration) {
        let milliseconds = delay.wholeMilliseconds
        withHandle(as: uv_timer_t.self) { handle in
            // uv_now is as old as the turn; without this a long turn would shorten the delay.
            uv_update_time(loop.uv)
            uv_timer_start(
                handle,
                { handle in LoopHandle.owner(handle?.pointee.data, as: LoopTimer.self)?.fired() },
                milliseconds,
                repeats ? max(milliseconds, 1) : 0
            )
        }
    }

    private func fired() {
        let body = body
        if !repeats { cancel() }
        body?()
    }

    /// No call of the body starts after this.
    package func cancel() {
        body = nil
        close()
    }
}

extension Loop {
    /// Calls `body` once, `delay` from now.
    @discardableResult
    package func after(_ delay: Duration, _ body: @escaping () -> Void) -> LoopTimer {
        timer(delay, repeats: false, body)
    }

    /// Calls `body` every `interval`, the first time one interval from now.
    @discardableResult
    package func every(_ interval: Duration, _ body: @escaping () -> Void) -> LoopTimer {
        timer(interval, repeats: true, body)
    }

    private func timer(_ delay: Duration, repeats: Bool, _ body: @escaping () -> Void) -> LoopTimer {
        do {
            return try LoopTimer(loop: self, delay: delay, repeats: repeats, body: body)
        } catch {
            // uv_timer_init has no way to fail.
            preconditionFailure("timer: \(error)")
        }
    }
}

extension Duration {
    /// Rounded up, never negative.
    package var wholeMilliseconds: UInt64 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        return UInt64(seconds) * 1000 + UInt64((attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
    }
}
