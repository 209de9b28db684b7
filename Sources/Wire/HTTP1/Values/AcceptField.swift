// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// What a client wants to be given (RFC 9110 section 12.5.1).
package enum AcceptField {
    /// Is this media type named, and not refused with a weight of zero? Ranges such as `*/*` ask for nothing in particular.
    package static func asks(for type: StaticString, _ fields: HTTPFields, in bytes: Span<UInt8>) -> Bool {
        var asks = false
        fields.forEachElement(of: .accept, in: bytes) { element in
            let found = bytes.withUnsafeBufferPointer { bytes in
                let end = element.first { bytes[$0] == ASCII.semicolon } ?? element.upperBound
                let name = ASCII.trimmed(bytes, element.lowerBound..<end)
                return ASCII.equalsIgnoringCase(bytes, name, type) && !isRefused(bytes, end..<element.upperBound)
            }
            asks = asks || found
        }
        return asks
    }

    /// Parameters from their first semicolon on. A weight has at most three digits behind its point, so all zeros is what refuses.
    private static func isRefused(_ bytes: UnsafeBufferPointer<UInt8>, _ parameters: Range<Int>) -> Bool {
        var start = parameters.lowerBound
        while start < parameters.upperBound {
            let from = start + 1
            let end = (from..<parameters.upperBound).first { bytes[$0] == ASCII.semicolon } ?? parameters.upperBound
            let parameter = ASCII.trimmed(bytes, from..<end)
            if parameter.count > 2, ASCII.lowercased(bytes[parameter.lowerBound]) == UInt8(ascii: "q"),
                bytes[parameter.lowerBound + 1] == ASCII.equals
            {
                let weight = parameter.dropFirst(2)
                return bytes[weight.lowerBound] == UInt8(ascii: "0") && weight.dropFirst(2).allSatisfy { bytes[$0] == UInt8(ascii: "0") }
            }
            start = end
        }
        return false
    }
}
