// Keyvane
// SPDX-License-Identifier: Apache-2.0

import CNghttp2
import Wire

/// The lines of an HTTP/1.1 head, or of a trailer section, as an HTTP/2 header list: what belongs to one HTTP/1.1 connection is left out
/// (RFC 9113 section 8.2.2), and the library writes names in lower case.
struct HTTP2ResponseFields {
    /// nil for trailers, which have no pseudo header.
    let status: Int?
    let fields: HTTPFields
    /// The response to an extended CONNECT that was granted.
    var opensTunnel = false

    /// Gives the list to `body`; it points into `bytes` and is emptied afterwards. The library copies what it keeps.
    func withPairs(in bytes: Span<UInt8>, _ pairs: inout [nghttp2_nv], _ body: (UnsafePointer<nghttp2_nv>?, Int) -> Void) {
        defer { pairs.removeAll(keepingCapacity: true) }
        let digits = Self.digits(status ?? 0)
        let statusName: StaticString = ":status"
        withUnsafeBytes(of: digits) { digits in
            if status != nil {
                let value = digits.assumingMemoryBound(to: UInt8.self)
                pairs.append(Self.pair(statusName.utf8Start, statusName.utf8CodeUnitCount, value.baseAddress, 3))
            }
            bytes.withUnsafeBufferPointer { bytes in
                guard let start = bytes.baseAddress else { return }
                for field in fields where isForwarded(field) {
                    pairs.append(
                        Self.pair(start + field.name.lowerBound, field.name.count, start + field.value.lowerBound, field.value.count)
                    )
                }
            }
            pairs.withUnsafeBufferPointer { body($0.baseAddress, $0.count) }
        }
    }

    private func isForwarded(_ field: HTTPField) -> Bool {
        switch field.known {
        case .connection?, .keepAlive?, .proxyConnection?, .transferEncoding?, .upgrade?, .te?, .http2Settings?: false
        case .secWebSocketAccept?, .contentLength?: !opensTunnel
        default: true
        }
    }

    private static func pair(
        _ name: UnsafePointer<UInt8>,
        _ nameCount: Int,
        _ value: UnsafePointer<UInt8>?,
        _ valueCount: Int
    ) -> nghttp2_nv {
        nghttp2_nv(
            name: UnsafeMutablePointer(mutating: name),
            value: UnsafeMutablePointer(mutating: value),
            namelen: nameCount,
            valuelen: valueCount,
            flags: UInt8(NGHTTP2_NV_FLAG_NONE.rawValue)
        )
    }

    private static func digits(_ status: Int) -> (UInt8, UInt8, UInt8) {
        let ascii: (Int) -> UInt8 = { 0x30 + UInt8(truncatingIfNeeded: $0 % 10) }
        return (ascii(status / 100), ascii(status / 10), ascii(status))
    }
}
