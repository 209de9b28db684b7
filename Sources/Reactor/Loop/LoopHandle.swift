// Keyvane
// SPDX-License-Identifier: Apache-2.0

import CUV

/// Owner of one libuv handle on one loop; confined to that loop.
///
/// From `start` to the end of `close` the loop holds a reference, so a handle lives until it is closed even when nobody else keeps it.
package class LoopHandle {
    let loop: Loop
    private let raw: UnsafeMutableRawPointer
    private(set) var isClosed = false

    /// `size` bytes for the concrete handle, zeroed; `initialize` hands them to libuv.
    init(loop: Loop, size: Int, initialize: (UnsafeMutableRawPointer) -> Int32) throws(ReactorError) {
        loop.assertCurrent()
        self.loop = loop
        raw = .allocate(byteCount: size, alignment: 16)
        raw.initializeMemory(as: UInt8.self, repeating: 0, count: size)
        let status = initialize(raw)
        guard status == 0 else {
            raw.deallocate()
            throw ReactorError.system("create a loop handle", errno: -status)
        }
        handle.pointee.data = Unmanaged.passRetained(self).toOpaque()
    }

    private var handle: UnsafeMutablePointer<uv_handle_t> { raw.assumingMemoryBound(to: uv_handle_t.self) }

    func withHandle<Handle, Value>(as type: Handle.Type, _ body: (UnsafeMutablePointer<Handle>) -> Value) -> Value {
        body(raw.assumingMemoryBound(to: type))
    }

    /// Stops the handle at once; its memory goes when libuv lets go of it. A second call does nothing.
    package func close() {
        loop.assertCurrent()
        guard !isClosed else { return }
        isClosed = true
        uv_close(handle) { handle in
            guard let data = handle?.pointee.data else { return }
            let owner = Unmanaged<LoopHandle>.fromOpaque(data).takeRetainedValue()
            owner.raw.deallocate()
            owner.released()
        }
    }

    /// The handle's memory is gone: drop what refers back to the owner.
    func released() {}

    /// The owner behind a libuv callback's handle.
    static func owner<Owner: LoopHandle>(_ data: UnsafeMutableRawPointer?, as type: Owner.Type) -> Owner? {
        guard let data else { return nil }
        return Unmanaged<LoopHandle>.fromOpaque(data).takeUnretainedValue() as? Owner
    }

    /// For the end of a loop: the loop's own handles carry another kind of owner and are left to it.
    static func closeAny(_ handle: UnsafeMutablePointer<uv_handle_t>?) {
        guard let handle, uv_is_closing(handle) == 0 else { return }
        switch handle.pointee.type {
        case UV_POLL, UV_TIMER, UV_SIGNAL:
            // Not before its type is known: some of the loop's own have nothing there, not even nil.
            guard let data = handle.pointee.data else { return }
            Unmanaged<LoopHandle>.fromOpaque(data).takeUnretainedValue().close()
        default:
            break
        }
    }
}
