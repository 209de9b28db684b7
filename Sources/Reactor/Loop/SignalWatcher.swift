// Keyvane
// SPDX-License-Identifier: Apache-2.0

import CUV

/// Calls back on its loop when the process gets one of its signals; the default action is off while it lives. Confined to its loop.
package final class SignalWatcher: LoopHandle {
    private var received: (() -> Void)?

    package init(_ number: Int32, on loop: Loop, _ received: @escaping () -> Void) throws(ReactorError) {
        self.received = received
        try super.init(loop: loop, size: MemoryLayout<uv_signal_t>.size) {
            uv_signal_init(loop.uv, $0.assumingMemoryBound(to: uv_signal_t.self))
        }
        let status = withHandle(as: uv_signal_t.self) { handle in
            uv_signal_start(
                handle,
                { handle, _ in LoopHandle.owner(handle?.pointee.data, as: SignalWatcher.self)?.received?() },
                number
            )
        }
        guard status == 0 else {
            close()
            throw ReactorError.system("watch signal \(number)", errno: -status)
        }
    }

    package func cancel() {
        received = nil
        close()
    }
}
