// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// `Host = uri-host [ ":" port ]` (RFC 9110 section 7.2), never empty, never a list.
enum HostRule {
    static func isValid(_ bytes: UnsafeBufferPointer<UInt8>, _ value: Range<Int>) -> Bool {
        guard let first = value.first else { return false }
        var index = first
        if bytes[first] == 0x5B {
            guard let end = literalEnd(bytes, value) else { return false }
            index = end
        } else {
            while index < value.upperBound, bytes[index] != ASCII.colon {
                guard isNamePart(bytes, &index, value.upperBound) else { return false }
            }
            if index == first { return false }
        }
        guard index < value.upperBound else { return true }
        return bytes[index] == ASCII.colon && isPort(bytes, index + 1..<value.upperBound)
    }

    private static func isNamePart(_ bytes: UnsafeBufferPointer<UInt8>, _ index: inout Int, _ end: Int) -> Bool {
        if bytes[index] == 0x25 {
            guard index + 2 < end, ASCII.hexValue(bytes[index + 1]) != nil, ASCII.hexValue(bytes[index + 2]) != nil else { return false }
            index += 3
            return true
        }
        guard ASCII.isHostName(bytes[index]) else { return false }
        index += 1
        return true
    }

    /// Where the text after `[…]` starts. IPv6 letters and the characters of IPvFuture; the address itself is not parsed.
    private static func literalEnd(_ bytes: UnsafeBufferPointer<UInt8>, _ value: Range<Int>) -> Int? {
        var index = value.lowerBound + 1
        while index < value.upperBound, bytes[index] != 0x5D {
            guard ASCII.isHostName(bytes[index]) || bytes[index] == ASCII.colon else { return nil }
            index += 1
        }
        return index < value.upperBound && index > value.lowerBound + 1 ? index + 1 : nil
    }

    /// An empty port is allowed by RFC 3986.
    private static func isPort(_ bytes: UnsafeBufferPointer<UInt8>, _ range: Range<Int>) -> Bool {
        guard range.count <= 5 else { return false }
        var port = 0
        for index in range {
            guard ASCII.isDigit(bytes[index]) else { return false }
            port = port * 10 + Int(bytes[index] - 0x30)
        }
        return port <= 65_535
    }
}
