// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Reads a header of either version from a stream's first bytes.
package enum ProxyParser {
    /// Of version 2; more than all TLVs that anybody sends.
    package static let limit = 4096

    static let signature: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]
    private static let prefix = Array("PROXY ".utf8)

    /// All bytes from the first one; nil while more are needed.
    package static func parse(_ bytes: Span<UInt8>) throws(ProxyFault) -> ProxyHeader? {
        guard bytes.count > 0 else { return nil }
        let isLine = bytes[0] == prefix[0]
        let start = isLine ? prefix : signature
        for index in 0..<min(bytes.count, start.count) where bytes[index] != start[index] { throw .missing }
        guard bytes.count >= start.count else { return nil }
        return isLine ? try ProxyLine.parse(bytes) : try parseBinary(bytes)
    }

    // MARK: Version 2

    private static func parseBinary(_ bytes: Span<UInt8>) throws(ProxyFault) -> ProxyHeader? {
        let fixed = signature.count + 4
        // Each field is judged as soon as it is there.
        if bytes.count > 12, bytes[12] >> 4 != 2 { throw .badVersion }
        if bytes.count > 12, bytes[12] & 15 > 1 { throw .badCommand }
        guard bytes.count >= fixed else { return nil }
        let isLocal = bytes[12] & 15 == 0
        let end = fixed + (Int(bytes[14]) << 8 | Int(bytes[15]))
        guard end <= limit else { throw .tooLong }
        // Of a LOCAL header, only the length counts.
        let size = isLocal ? nil : try addressSize(bytes[13])
        if let size, fixed + 2 * size > end { throw .badLength }
        guard bytes.count >= end else { return nil }
        guard !isLocal else { return ProxyHeader(nil, length: end) }
        try checkExtensions(bytes, from: fixed + 2 * (size ?? 0), to: end)
        return ProxyHeader(addresses(bytes, at: fixed, size), length: end)
    }

    /// Of one end, with its port; nil for UNSPEC.
    private static func addressSize(_ family: UInt8) throws(ProxyFault) -> Int? {
        switch family {
        case 0x00: nil
        case 0x11: 6
        case 0x21: 18
        case 0x31: 108
        // Datagrams don't come through a stream, and nothing else is defined.
        default: throw .badFamily
        }
    }

    private static func addresses(
        _ bytes: Span<UInt8>,
        at start: Int,
        _ size: Int?
    ) -> (source: ProxyHeader.Address, destination: ProxyHeader.Address)? {
        guard let size else { return nil }
        guard size != 108 else {
            let paths = [start, start + size].map { bytes.array($0..<$0 + size).prefix { $0 != 0 } }
            return (.unix(Array(paths[0])), .unix(Array(paths[1])))
        }
        let width = size - 2
        let ports = [start + 2 * width, start + 2 * width + 2].map { UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1]) }
        let source = bytes.array(start..<start + width)
        let destination = bytes.array(start + width..<start + 2 * width)
        return width == 4
            ? (.v4(source, port: ports[0]), .v4(destination, port: ports[1]))
            : (.v6(source, port: ports[0]), .v6(destination, port: ports[1]))
    }

    /// Type, length, value, one behind the other; they must fill the header exactly. Only the checksum means something to us.
    private static func checkExtensions(_ bytes: Span<UInt8>, from start: Int, to end: Int) throws(ProxyFault) {
        var position = start
        while position < end {
            guard position + 3 <= end else { throw .badLength }
            let value = position + 3
            let next = value + (Int(bytes[position + 1]) << 8 | Int(bytes[position + 2]))
            guard next <= end else { throw .badLength }
            if bytes[position] == 0x03 {
                guard next - value == 4 else { throw .badLength }
                let given = (value..<next).reduce(UInt32(0)) { $0 << 8 | UInt32(bytes[$1]) }
                guard checksum(bytes.extracting(..<end), without: value..<next) == given else { throw .badChecksum }
            }
            position = next
        }
    }

    /// CRC-32C of the whole header, its own place taken as zeros.
    private static func checksum(_ bytes: Span<UInt8>, without place: Range<Int>) -> UInt32 {
        var sum = UInt32.max
        for index in bytes.indices {
            sum ^= UInt32(place.contains(index) ? 0 : bytes[index])
            for _ in 0..<8 { sum = sum >> 1 ^ (sum & 1 == 1 ? 0x82F6_3B78 : 0) }
        }
        return ~sum
    }
}
