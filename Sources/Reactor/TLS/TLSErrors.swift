// Keyvane
// SPDX-License-Identifier: Apache-2.0

import COpenSSL

/// OpenSSL's queue of errors, one a thread.
enum TLSErrors {
    /// The oldest error, which caused the others, in words; the queue is empty afterwards.
    static func take() -> String {
        let code = ERR_peek_error()
        ERR_clear_error()
        guard code != 0 else { return "no reason was given" }
        var text = [CChar](repeating: 0, count: 256)
        ERR_error_string_n(code, &text, text.count)
        // "error:CODE:library:function:reason"
        let bytes = text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        return String(decoding: bytes.split(separator: UInt8(ascii: ":"), maxSplits: 4).last ?? [], as: UTF8.self)
    }

    /// The reason of the oldest error, which stays in the queue.
    static var reason: Int32 { ERR_GET_REASON(ERR_peek_error()) }
}
