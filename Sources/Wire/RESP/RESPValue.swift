// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// One reply of Redis (RESP2).
package enum RESPValue: Sendable, Equatable {
    case simple(String)
    /// The whole line: code, blank, text.
    case error(String)
    case integer(Int64)
    case bulk([UInt8])
    case null
    case array([RESPValue])

    /// The text of a bulk or simple string.
    package var string: String? {
        switch self {
        case .simple(let text): text
        case .bulk(let bytes): String(decoding: bytes, as: UTF8.self)
        case .error, .integer, .null, .array: nil
        }
    }

    package var integer: Int64? {
        guard case .integer(let value) = self else { return nil }
        return value
    }

    package var array: [RESPValue]? {
        guard case .array(let values) = self else { return nil }
        return values
    }
}
