// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// `HTTP/1.0` or `HTTP/1.1`, judged byte by byte, then the CR that ends a request line.
enum VersionRule {
    private static let pattern: StaticString = "HTTP/"

    /// One byte further. True once the CR behind the version was taken.
    static func scan(
        _ bytes: UnsafeBufferPointer<UInt8>,
        at position: inout Int,
        from start: Int,
        version: inout HTTPVersion
    ) throws(HTTPFault) -> Bool {
        let byte = bytes[position]
        guard position - start == 8 else {
            try scanCharacter(bytes, at: &position, from: start, version: &version)
            return false
        }
        if byte == ASCII.lineFeed { throw .bareLineFeed }
        guard byte == ASCII.carriageReturn else { throw .badRequestLine }
        position += 1
        return true
    }

    /// One of the eight characters.
    static func scanCharacter(
        _ bytes: UnsafeBufferPointer<UInt8>,
        at position: inout Int,
        from start: Int,
        version: inout HTTPVersion
    ) throws(HTTPFault) {
        let byte = bytes[position]
        let offset = position - start
        switch offset {
        case 0..<5:
            guard byte == pattern.utf8Start[offset] else { throw byte == ASCII.lineFeed ? .bareLineFeed : .badRequestLine }
        case 6:
            guard byte == 0x2E else { throw .badRequestLine }
        default:
            guard ASCII.isDigit(byte) else { throw .badRequestLine }
        }
        position += 1
        if offset == 7 {
            guard bytes[start + 5] == 0x31, byte == 0x30 || byte == 0x31 else { throw .unsupportedVersion }
            version = byte == 0x30 ? .http10 : .http11
        }
    }
}
