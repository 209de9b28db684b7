// Keyvane
// SPDX-License-Identifier: Apache-2.0

// PROXY protocol, versions 1 and 2: what a proxy before us says of its client, ahead of the stream itself.
// Flows through: a connection's first bytes, as many as have come, to a header, or to a fault.
// Owner: nobody; a header is a plain value.
// Must hold: no byte behind the header counts, every prefix of a header is incomplete, and what can't become one is a fault at once.

/// What a proxy says of its client.
package struct ProxyHeader: Sendable, Equatable {
    package enum Address: Sendable, Equatable {
        /// Four bytes, or sixteen.
        case v4([UInt8], port: UInt16)
        case v6([UInt8], port: UInt16)
        /// Its bytes up to the first zero.
        case unix([UInt8])
    }

    /// nil where the proxy speaks for itself (LOCAL) or doesn't know (UNKNOWN): then the connection's own address counts.
    package let source: Address?
    package let destination: Address?
    /// Of the header, in bytes.
    package let length: Int

    init(_ addresses: (source: Address, destination: Address)?, length: Int) {
        source = addresses?.source
        destination = addresses?.destination
        self.length = length
    }
}

/// Why a header was refused. There is no answer to it: the connection ends.
package enum ProxyFault: String, Error, Sendable, CaseIterable {
    case missing = "missing_signature"
    case badLine = "bad_line"
    case badVersion = "bad_version"
    case badCommand = "bad_command"
    case badFamily = "bad_family"
    case badLength = "bad_length"
    case tooLong = "too_long"
    case badChecksum = "bad_checksum"

    package var code: String { rawValue }
}
