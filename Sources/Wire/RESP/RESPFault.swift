// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Why a connection to Redis must be given up.
package enum RESPFault: Error, Sendable, Equatable {
    /// Not RESP; the reader's own words.
    case malformed(String)
    /// A reply above the limits of bytes, elements or nesting.
    case tooLarge
    case outOfMemory

    package var code: String {
        switch self {
        case .malformed: "redis_protocol"
        case .tooLarge: "redis_reply_too_large"
        case .outOfMemory: "out_of_memory"
        }
    }
}
