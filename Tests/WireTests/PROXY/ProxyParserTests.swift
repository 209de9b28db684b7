// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Testing
import Wire

@Suite struct ProxyParserTests {
    private static let signature: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]
    private static let v4: [UInt8] = [192, 168, 0, 1, 10, 0, 0, 1, 0xDC, 0x04, 0x01, 0xBB]
    private static let rest = Array("GET / HTTP/1.1\r\n".utf8)

    private static func binary(_ family: UInt8, _ body: [UInt8], command: UInt8 = 0x21) -> [UInt8] {
        signature + [command, family, UInt8(body.count >> 8), UInt8(body.count & 255)] + body
    }

    private static func tlv(_ type: UInt8, _ value: [UInt8]) -> [UInt8] {
        [type, UInt8(value.count >> 8), UInt8(value.count & 255)] + value
    }

    private func parse(_ bytes: [UInt8]) throws(ProxyFault) -> ProxyHeader? {
        try ProxyParser.parse(bytes.span)
    }

    private func fault(_ bytes: [UInt8]) -> ProxyFault? {
        do throws(ProxyFault) {
            _ = try ProxyParser.parse(bytes.span)
            return nil
        } catch {
            return error
        }
    }

    private static let good: [(bytes: [UInt8], source: ProxyHeader.Address?)] = [
        (Array("PROXY TCP4 192.168.0.1 10.0.0.1 56324 443\r\n".utf8), .v4([192, 168, 0, 1], port: 56324)),
        (Array("PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n".utf8), .v4([0, 0, 0, 0], port: 0)),
        (
            Array("PROXY TCP6 2001:db8::1 ::1 1 2\r\n".utf8),
            .v6([0x20, 0x01, 0x0D, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], port: 1)
        ),
        (Array("PROXY UNKNOWN\r\n".utf8), nil),
        // The specification's longest line: 107 bytes.
        (
            Array(
                "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n".utf8
            ), nil
        ),
        (binary(0x11, v4), .v4([192, 168, 0, 1], port: 56324)),
        (binary(0x21, [UInt8](0..<32) + [0, 7, 0, 8]), .v6([UInt8](0..<16), port: 7)),
        (
            binary(0x31, Array("/run/a".utf8) + [UInt8](repeating: 0, count: 102) + [UInt8](repeating: 1, count: 108)),
            .unix(Array("/run/a".utf8))
        ),
        (binary(0x00, []), nil),
        (binary(0x00, tlv(0x04, [0, 0])), nil),
        (binary(0x00, [], command: 0x20), nil),
        // Of LOCAL, only the length counts.
        (binary(0xFF, [1, 2, 3], command: 0x20), nil),
        (binary(0x11, v4 + tlv(0x01, Array("h2".utf8)) + tlv(0x20, [])), .v4([192, 168, 0, 1], port: 56324)),
        // With the checksum that a program of its own has made.
        (
            binary(0x11, v4 + tlv(0x03, [0x48, 0x3F, 0x0D, 0x14]) + tlv(0x01, Array("h2".utf8))), .v4([192, 168, 0, 1], port: 56324)
        ),
    ]

    @Test func headersAreReadAndNothingBehindThem() throws {
        for (bytes, source) in Self.good {
            let header = try #require(try parse(bytes + Self.rest))
            #expect(header.source == source)
            #expect(header.length == bytes.count)
        }
        #expect(Self.good[4].bytes.count == 107)
        let header = try #require(try parse(Self.good[5].bytes))
        #expect(header.destination == .v4([10, 0, 0, 1], port: 443))
    }

    @Test func everyPrefixIsIncomplete() throws {
        for (bytes, _) in Self.good {
            for end in 0..<bytes.count {
                #expect(try parse(Array(bytes[..<end])) == nil, "\(end) of \(bytes)")
            }
        }
    }

    @Test(arguments: [
        "GET / HTTP/1.1\r\n", "PROXY\r\n", "proxy TCP4 1.1.1.1 2.2.2.2 1 2\r\n", "\r\n\r\n\0\r\nQUIX", "\u{16}\u{03}\u{01}",
        "PROXY  TCP4 1.1.1.1 2.2.2.2 1 2\r\n", "PROXY TCP4 1.1.1.1  2.2.2.2 1 2\r\n", "PROXY TCP4 1.1.1.1 2.2.2.2 1 2 \r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n", "PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n", "PROXY TCP4 1.1.1.1 2.2.2.2 1 65536\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n", "PROXY TCP4 1.1.1.1 2.2.2.2 +1 2\r\n", "PROXY TCP4 1.1.1 2.2.2.2 1 2\r\n",
        "PROXY TCP4 1.1.1.01 2.2.2.2 1 2\r\n", "PROXY TCP4 1.1.1.256 2.2.2.2 1 2\r\n", "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n", "PROXY UDP4 1.1.1.1 2.2.2.2 1 2\r\n", "PROXY TCP5\r\n", "PROXY \r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n", "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\r\n", "PROXY TCP4\t1.1.1.1 2.2.2.2 1 2\r\n",
        "PROXY UNKNOWNX\r\n", "PROXY UNKNOWN \0\r\n",
    ])
    func linesAreTakenToTheLetter(_ text: String) {
        #expect(fault(Array(text.utf8)) != nil)
    }

    @Test func lengthsAreChecked() {
        #expect(fault(Array(("PROXY UNKNOWN " + String(repeating: "x", count: 92) + "\r\n").utf8)) == .tooLong)
        #expect(fault(Array(("PROXY UNKNOWN " + String(repeating: "x", count: 200)).utf8)) == .tooLong)
        #expect(fault(Self.binary(0x11, Array(Self.v4.dropLast()))) == .badLength)
        #expect(fault(Self.binary(0x21, Self.v4)) == .badLength)
        #expect(fault(Self.binary(0x31, Self.v4)) == .badLength)
        #expect(fault(Self.binary(0x11, Self.v4 + [0x01])) == .badLength)
        #expect(fault(Self.binary(0x11, Self.v4 + [0x01, 0x00, 0x02, 0x00])) == .badLength)
        #expect(fault(Self.binary(0x11, Self.v4 + Self.tlv(0x03, [1]))) == .badLength)
        #expect(fault(Self.binary(0x11, Self.v4 + Self.tlv(0x03, [1, 2, 3, 4]))) == .badChecksum)
        // At the length itself, before its bytes come.
        #expect(fault(Self.signature + [0x21, 0x11, 0xFF, 0xFF]) == .tooLong)
        #expect(fault(Self.signature + [0x20, 0x00, 0x0F, 0xF1]) == .tooLong)
    }

    @Test func versionCommandAndFamilyAreChecked() {
        #expect(fault(Self.signature + [0x11]) == .badVersion)
        #expect(fault(Self.signature + [0x31]) == .badVersion)
        #expect(fault(Self.signature + [0x22]) == .badCommand)
        for family: UInt8 in [0x01, 0x10, 0x12, 0x13, 0x22, 0x32, 0x41, 0xFF] {
            #expect(fault(Self.binary(family, [UInt8](repeating: 0, count: 216))) == .badFamily)
        }
    }
}
