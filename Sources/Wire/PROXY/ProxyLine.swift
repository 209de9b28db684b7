// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Version 1: one line of ASCII, to the letter.
enum ProxyLine {
    /// With its CR LF.
    static let limit = 107

    static func parse(_ bytes: Span<UInt8>) throws(ProxyFault) -> ProxyHeader? {
        guard let length = try length(bytes) else { return nil }
        let words = bytes.array(0..<length - 2).split(separator: 0x20, omittingEmptySubsequences: false).dropFirst()
        guard let family = words.first.map({ String(decoding: $0, as: UTF8.self) }) else { throw .badLine }
        switch (family, words.count) {
        case ("UNKNOWN", _):
            // Whatever stands behind it is to be ignored.
            return ProxyHeader(nil, length: length)
        case ("TCP4", 5), ("TCP6", 5):
            let parts = Array(words.dropFirst())
            guard let source = address(parts[0], parts[2], isIPv6: family == "TCP6"),
                let destination = address(parts[1], parts[3], isIPv6: family == "TCP6")
            else { throw .badLine }
            return ProxyHeader((source, destination), length: length)
        default:
            throw .badLine
        }
    }

    /// Up to and with the line's end; nil while it may still come.
    private static func length(_ bytes: Span<UInt8>) throws(ProxyFault) -> Int? {
        for index in 0..<min(bytes.count, limit) {
            switch bytes[index] {
            case 0x0D:
                guard index + 1 < limit else { throw .tooLong }
                guard index + 1 < bytes.count else { return nil }
                guard bytes[index + 1] == 0x0A else { throw .badLine }
                return index + 2
            case 0x20...0x7E:
                break
            default:
                throw .badLine
            }
        }
        guard bytes.count < limit else { throw .tooLong }
        return nil
    }

    private static func address(_ host: ArraySlice<UInt8>, _ port: ArraySlice<UInt8>, isIPv6: Bool) -> ProxyHeader.Address? {
        guard let port = number(port), !host.isEmpty else { return nil }
        var binary = [UInt8](repeating: 0, count: isIPv6 ? 16 : 4)
        // The C library is as strict as the specification: no leading zeros, no short forms of IPv4.
        guard inet_pton(isIPv6 ? AF_INET6 : AF_INET, String(decoding: host, as: UTF8.self), &binary) == 1 else { return nil }
        return isIPv6 ? .v6(binary, port: port) : .v4(binary, port: port)
    }

    private static func number(_ digits: ArraySlice<UInt8>) -> UInt16? {
        guard let first = digits.first, digits.count <= 5, first != 0x30 || digits.count == 1,
            digits.allSatisfy({ $0 &- 0x30 < 10 })
        else { return nil }
        return UInt16(exactly: digits.reduce(0) { $0 * 10 + Int($1 - 0x30) })
    }
}
