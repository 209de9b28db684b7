// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// One header line: where its name and value are in the buffer that was parsed. Owned by `HTTPFields`.
package struct HTTPField: Sendable, Equatable {
    package let known: HTTPFieldName?
    private let nameStart: UInt32
    private let nameEnd: UInt32
    private let valueStart: UInt32
    private let valueEnd: UInt32

    init(known: HTTPFieldName?, name: Range<Int>, value: Range<Int>) {
        self.known = known
        nameStart = UInt32(truncatingIfNeeded: name.lowerBound)
        nameEnd = UInt32(truncatingIfNeeded: name.upperBound)
        valueStart = UInt32(truncatingIfNeeded: value.lowerBound)
        valueEnd = UInt32(truncatingIfNeeded: value.upperBound)
    }

    package var name: Range<Int> { Int(nameStart)..<Int(nameEnd) }

    /// Without the white space around it.
    package var value: Range<Int> { Int(valueStart)..<Int(valueEnd) }

    package func name(in bytes: Span<UInt8>) -> String { bytes.string(name) }

    package func value(in bytes: Span<UInt8>) -> String { bytes.string(value) }

    /// Some servers take its name for another one, with `-` in these places.
    package func hasUnderscore(in bytes: Span<UInt8>) -> Bool {
        for index in name where bytes[index] == 0x5F { return true }
        return false
    }
}
