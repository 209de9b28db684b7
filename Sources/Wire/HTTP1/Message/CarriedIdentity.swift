// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// What a head says its request is called: `X-Request-Id`, and the trace id of W3C Trace Context's `traceparent`. What can't be taken
/// counts as not there. Ranges of the bytes that were parsed.
package struct CarriedIdentity: Sendable, Equatable {
    /// It is repeated in headers and logs: what could break a line or fill one is not taken.
    package let requestID: Range<Int>?
    package let traceID: Range<Int>?

    package static let longestRequestID = 128

    package init(_ fields: HTTPFields, in bytes: Span<UInt8>) {
        // Of two, nobody could tell which one the next server believes.
        requestID = fields.count(of: .xRequestID) == 1 ? fields.first(.xRequestID).flatMap { Self.requestID($0, bytes) } : nil
        traceID = fields.count(of: .traceparent) == 1 ? fields.first(.traceparent).flatMap { Self.traceID($0, bytes) } : nil
    }

    private static func requestID(_ value: Range<Int>, _ bytes: Span<UInt8>) -> Range<Int>? {
        guard (1...longestRequestID).contains(value.count) else { return nil }
        for index in value where !isPlain(bytes[index]) { return nil }
        return value
    }

    /// Letters, digits and `-_.:/=+@`.
    private static func isPlain(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x5F, 0x2E, 0x3A, 0x2F, 0x3D, 0x2B, 0x40: true
        default: false
        }
    }

    /// W3C Trace Context, section 3.2: `version-traceid-parentid-flags` in lower-case hexadecimal digits. All zeros are no id, and `ff` is no
    /// version; a later version than ours may have more behind a further dash.
    private static func traceID(_ value: Range<Int>, _ bytes: Span<UInt8>) -> Range<Int>? {
        guard value.count >= 55 else { return nil }
        let start = value.lowerBound
        func part(_ offset: Int, _ count: Int) -> Range<Int>? {
            let range = start + offset..<start + offset + count
            for index in range where !isLowerHex(bytes[index]) { return nil }
            return range
        }
        func isDash(_ offset: Int) -> Bool { bytes[start + offset] == 0x2D }
        guard let version = part(0, 2), isDash(2), let trace = part(3, 32), isDash(35), let parent = part(36, 16), isDash(52),
            part(53, 2) != nil, !bytes.equals(version, "ff"), hasDigit(trace, bytes), hasDigit(parent, bytes)
        else { return nil }
        if value.count > 55 {
            guard !bytes.equals(version, "00"), isDash(55) else { return nil }
        }
        return trace
    }

    private static func isLowerHex(_ byte: UInt8) -> Bool {
        byte &- 0x30 < 10 || byte &- 0x61 < 6
    }

    private static func hasDigit(_ range: Range<Int>, _ bytes: Span<UInt8>) -> Bool {
        for index in range where bytes[index] != 0x30 { return true }
        return false
    }
}
