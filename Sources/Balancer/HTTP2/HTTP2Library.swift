// Keyvane
// SPDX-License-Identifier: Apache-2.0

import CNghttp2

/// What all sessions of a loop share: the table of callbacks and the options. Confined to its loop; frees both.
final class HTTP2Library {
    let callbacks: OpaquePointer
    let option: OpaquePointer
    /// Where header lists are put together; empty between uses.
    var pairs: [nghttp2_nv] = []

    /// `headerBytes`: the largest head that may have to be sent.
    init(headerBytes: Int) {
        var table: OpaquePointer?
        var option: OpaquePointer?
        guard nghttp2_session_callbacks_new(&table) == 0, nghttp2_option_new(&option) == 0, let table, let option else {
            preconditionFailure("nghttp2 has no memory for its tables")
        }
        callbacks = table
        self.option = option
        // Windows open only as far as a server has taken the bytes.
        nghttp2_option_set_no_auto_window_update(option, 1)
        nghttp2_option_set_no_closed_streams(option, 1)
        // It counts reads, not frames: one frame's header that comes byte by byte would be a flood. `HTTP2Budget` counts frames; this is for
        // the rest of a block whose stream was reset, of which nobody is told.
        nghttp2_option_set_max_continuations(option, 100)
        // Beyond its default a response's head would never leave.
        nghttp2_option_set_max_send_header_block_length(option, max(headerBytes * 2, 64 << 10))
        HTTP2Session.install(in: table)
    }

    deinit {
        nghttp2_session_callbacks_del(callbacks)
        nghttp2_option_del(option)
    }
}
