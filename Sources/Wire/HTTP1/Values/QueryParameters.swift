// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// A target's query, decoded: `+` is a blank, `%XX` a byte, and a `%` without two hexadecimal digits stands for itself.
/// Names may repeat; the first value wins where one is asked for. Bytes that are not UTF-8 are repaired.
package struct QueryParameters: Sendable, Equatable {
    package struct Parameter: Sendable, Equatable {
        package let name: String
        package let value: String
    }

    package let all: [Parameter]

    /// `query` is what stands behind the question mark; nil gives no parameters.
    package init(_ query: Range<Int>?, in bytes: Span<UInt8>) {
        guard let query else {
            all = []
            return
        }
        all = bytes.withUnsafeBufferPointer { bytes in
            var found: [Parameter] = []
            Self.forEachPair(bytes, query) { name, value in
                found.append(Parameter(name: Self.decoded(bytes, name), value: Self.decoded(bytes, value)))
                return true
            }
            return found
        }
    }

    package func first(_ name: String) -> String? {
        all.first { $0.name == name }?.value
    }

    package func values(_ name: String) -> [String] {
        all.compactMap { $0.name == name ? $0.value : nil }
    }

    /// One decoded first value without decoding the others, for hashing a request.
    package static func first(_ name: String, of query: Range<Int>?, in bytes: Span<UInt8>) -> String? {
        guard let query else { return nil }
        return bytes.withUnsafeBufferPointer { bytes in
            var found: String?
            forEachPair(bytes, query) { candidate, value in
                guard isEqual(bytes, candidate, name) else { return true }
                found = decoded(bytes, value)
                return false
            }
            return found
        }
    }

    /// The decoded text of a part, for paths (where `+` is a plus) and queries.
    package static func percentDecoded(_ range: Range<Int>, in bytes: Span<UInt8>, plusIsBlank: Bool) -> String {
        bytes.withUnsafeBufferPointer { decoded($0, range, plusIsBlank: plusIsBlank) }
    }

    private static func forEachPair(
        _ bytes: UnsafeBufferPointer<UInt8>,
        _ query: Range<Int>,
        _ body: (Range<Int>, Range<Int>) -> Bool
    ) {
        var start = query.lowerBound
        while start < query.upperBound {
            var end = start
            var equals = -1
            while end < query.upperBound, bytes[end] != 0x26 {
                if equals < 0, bytes[end] == ASCII.equals { equals = end }
                end += 1
            }
            let name = start..<(equals < 0 ? end : equals)
            let value = equals < 0 ? end..<end : equals + 1..<end
            if start < end, !body(name, value) { return }
            start = end + 1
        }
    }

    private static func isEqual(_ bytes: UnsafeBufferPointer<UInt8>, _ range: Range<Int>, _ name: String) -> Bool {
        let isPlain = range.allSatisfy { bytes[$0] != 0x25 && bytes[$0] != 0x2B }
        if isPlain { return range.count == name.utf8.count && zip(range, name.utf8).allSatisfy { bytes[$0] == $1 } }
        return decoded(bytes, range) == name
    }

    private static func decoded(_ bytes: UnsafeBufferPointer<UInt8>, _ range: Range<Int>, plusIsBlank: Bool = true) -> String {
        let isPlain = range.allSatisfy { bytes[$0] != 0x25 && bytes[$0] != 0x2B }
        if isPlain { return String(decoding: UnsafeBufferPointer(rebasing: bytes[range]), as: UTF8.self) }
        var text: [UInt8] = []
        text.reserveCapacity(range.count)
        var index = range.lowerBound
        while index < range.upperBound {
            let byte = bytes[index]
            if byte == 0x25, index + 2 < range.upperBound, let high = ASCII.hexValue(bytes[index + 1]),
                let low = ASCII.hexValue(bytes[index + 2])
            {
                text.append(high << 4 | low)
                index += 3
            } else {
                text.append(byte == 0x2B && plusIsBlank ? ASCII.space : byte)
                index += 1
            }
        }
        return String(decoding: text, as: UTF8.self)
    }
}
