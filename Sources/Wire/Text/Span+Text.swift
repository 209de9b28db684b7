// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Copies out of borrowed bytes. Invalid UTF-8 is repaired with U+FFFD, as everywhere where text comes from the network.
extension Span where Element == UInt8 {
    package func string(_ range: Range<Int>) -> String {
        extracting(range).withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }
    }

    package func string() -> String {
        withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }
    }

    package func array() -> [UInt8] {
        withUnsafeBufferPointer { [UInt8]($0) }
    }

    package func array(_ range: Range<Int>) -> [UInt8] {
        extracting(range).array()
    }

    /// Byte for byte.
    package func equals(_ range: Range<Int>, _ text: StaticString) -> Bool {
        withUnsafeBufferPointer { ASCII.equals($0, range, text) }
    }

    package func equalsIgnoringCase(_ range: Range<Int>, _ text: StaticString) -> Bool {
        withUnsafeBufferPointer { ASCII.equalsIgnoringCase($0, range, text) }
    }

    package func equalsIgnoringCase(_ range: Range<Int>, _ text: some StringProtocol) -> Bool {
        withUnsafeBufferPointer { ASCII.equalsIgnoringCase($0, range, text) }
    }
}

extension [UInt8] {
    package mutating func append(_ bytes: Span<UInt8>) {
        bytes.withUnsafeBufferPointer { append(contentsOf: $0) }
    }

    package mutating func append(_ bytes: Span<UInt8>, _ range: Range<Int>) {
        append(bytes.extracting(range))
    }

    package mutating func append(_ text: StaticString) {
        text.withUTF8Buffer { append(contentsOf: $0) }
    }

    /// What every literal comes to. Not generic, because a generic one is looked up at run time when another module calls it.
    package mutating func append(_ text: String) {
        if text.utf8.withContiguousStorageIfAvailable({ append(contentsOf: $0) }) == nil { append(contentsOf: text.utf8) }
    }

    package mutating func append(_ text: Substring) {
        append(contentsOf: text.utf8)
    }

    /// In decimal, without an intermediate String.
    package mutating func append(decimal value: some BinaryInteger) {
        guard value >= 10 || value < 0 else {
            append(0x30 + UInt8(truncatingIfNeeded: value))
            return
        }
        let start = count
        var rest = value.magnitude
        repeat {
            append(0x30 + UInt8(truncatingIfNeeded: rest % 10))
            rest /= 10
        } while rest > 0
        if value < 0 { append(0x2D) }
        self[start...].reverse()
    }
}
