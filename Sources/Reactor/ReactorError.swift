// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// What a call into the kernel or libuv refused.
package struct ReactorError: Error, Hashable, CustomStringConvertible {
    package enum Code: String, Sendable {
        case addressInUse = "address_in_use"
        case addressInvalid = "address_invalid"
        case connectRefused = "connect_refused"
        case connectTimedOut = "connect_timed_out"
        case connectionReset = "connection_reset"
        case nameNotFound = "name_not_found"
        case permissionDenied = "permission_denied"
        case tlsFailed = "tls_failed"
        case tooManyFiles = "too_many_files"
        case other = "system_error"
    }

    package let code: Code
    /// What was attempted, with the address in question.
    package let message: String
    /// `errno`, or libuv's code as a positive number; 0 where there is none.
    package let errno: Int32

    package init(_ code: Code, _ message: String, errno: Int32 = 0) {
        self.code = code
        self.message = message
        self.errno = errno
    }

    /// An error from `errno` as it stands; read it before any other call can change it.
    static func system(_ attempted: String, errno number: Int32) -> ReactorError {
        let code: Code =
            switch number {
            case EADDRINUSE: .addressInUse
            case EADDRNOTAVAIL, EAFNOSUPPORT, EINVAL: .addressInvalid
            case ECONNREFUSED, ENOENT, EHOSTUNREACH, ENETUNREACH: .connectRefused
            case ETIMEDOUT: .connectTimedOut
            case ECONNRESET, EPIPE, ECONNABORTED: .connectionReset
            case EACCES, EPERM: .permissionDenied
            case EMFILE, ENFILE: .tooManyFiles
            default: .other
            }
        return ReactorError(code, "\(attempted): \(String(cString: strerror(number)))", errno: number)
    }

    package var description: String { "\(code.rawValue): \(message)" }
}
