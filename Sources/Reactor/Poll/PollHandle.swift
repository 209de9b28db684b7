// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Readiness of any descriptor: our sockets, and those that a C library owns (libpq).
// Flows through: readable and writable events from libuv's poll handle, level triggered.
// Owner: one PollHandle a descriptor and loop; the descriptor itself belongs to whoever opened it and is closed after `close()`.
// Must hold: a descriptor is watched by one handle at most; no event arrives after `close()`.

import CUV

/// What a descriptor is ready for.
package struct PollEvents: OptionSet, Sendable {
    package let rawValue: Int32
    package init(rawValue: Int32) { self.rawValue = rawValue }

    package static let readable = PollEvents(rawValue: Int32(UV_READABLE.rawValue))
    package static let writable = PollEvents(rawValue: Int32(UV_WRITABLE.rawValue))
}

/// Watches one descriptor on one loop; confined to the loop.
package final class PollHandle: LoopHandle {
    private var watched: PollEvents = []
    private var ready: ((PollEvents) -> Void)?

    /// `ready` keeps its captures alive until `close()`. A failed descriptor (EPOLLERR) reports both events, and the next call on it tells.
    package init(descriptor: Int32, on loop: Loop, ready: @escaping (PollEvents) -> Void) throws(ReactorError) {
        self.ready = ready
        try super.init(loop: loop, size: MemoryLayout<uv_poll_t>.size) {
            uv_poll_init(loop.uv, $0.assumingMemoryBound(to: uv_poll_t.self), descriptor)
        }
    }

    /// Replaces the callback: for owners that can name themselves only once they are whole.
    func setReady(_ ready: @escaping (PollEvents) -> Void) {
        self.ready = ready
    }

    /// Changes what is watched; the empty set watches nothing. Costs two system calls, so only real changes reach the kernel.
    package func watch(_ events: PollEvents) {
        loop.assertCurrent()
        guard !isClosed, events != watched else { return }
        watched = events
        withHandle(as: uv_poll_t.self) { handle in
            guard !events.isEmpty else {
                uv_poll_stop(handle)
                return
            }
            uv_poll_start(handle, events.rawValue) { handle, status, events in
                LoopHandle.owner(handle?.pointee.data, as: PollHandle.self)?.fired(status: status, events: events)
            }
        }
    }

    private func fired(status: Int32, events: Int32) {
        // After an error libuv has stopped the handle itself.
        if status < 0 { watched = [] }
        ready?(status < 0 ? [.readable, .writable] : PollEvents(rawValue: events))
    }

    /// Ends the watch at once; the descriptor may be closed right after.
    package override func close() {
        ready = nil
        super.close()
    }
}
