// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// The fields after the last chunk, checked by the same scanner as a head, and kept. Owned by `ChunkedBodyParser`; empty until a trailer
/// comes.
struct TrailerSection: Sendable {
    private let limits: HeadLimits
    private(set) var buffer: [UInt8] = []
    /// Count in `buffer`.
    private(set) var fields = HTTPFields()
    private var scanner = FieldLineScanner()
    private var position = 0
    private(set) var isComplete = false

    init(limits: HeadLimits) {
        self.limits = limits
    }

    /// How many of the bytes from `start` on belong to the trailers.
    mutating func scan(_ bytes: UnsafeBufferPointer<UInt8>, from start: Int) throws(HTTPFault) -> Int {
        let known = buffer.count
        buffer.append(contentsOf: bytes[start..<min(bytes.count, start + limits.bytes - known)])
        isComplete = try buffer.withUnsafeBufferPointer { (buffer) throws(HTTPFault) -> Bool in
            try scanLines(buffer)
        }
        guard isComplete || buffer.count < limits.bytes else { throw .trailersTooLarge }
        let used = position - known
        return used
    }

    private mutating func scanLines(_ buffer: UnsafeBufferPointer<UInt8>) throws(HTTPFault) -> Bool {
        while true {
            switch try scanner.scan(buffer, from: &position, to: buffer.count) {
            case .needsMore: return false
            case .end: return true
            case .field:
                guard fields.count < limits.fields else { throw .trailersTooLarge }
                let known = HTTPFieldName.known(buffer, scanner.name)
                if let meant = HTTPFieldName.meant(buffer, scanner.name), Self.isForbidden(meant) { throw .badTrailer }
                fields.append(HTTPField(known: known, name: scanner.name, value: scanner.value))
            }
        }
    }

    /// RFC 9110 section 6.5.1: framing, routing and authentication are decided before the body. So is who sent it: a server that merges
    /// trailers would believe a client what only a proxy may say.
    private static func isForbidden(_ name: HTTPFieldName) -> Bool {
        switch name {
        case .contentLength, .transferEncoding, .host, .connection, .upgrade, .te, .trailer, .keepAlive, .proxyConnection, .expect,
            .cookie, .setCookie, .authorization, .proxyAuthorization, .contentType, .contentEncoding, .range, .forwarded, .xForwardedFor,
            .xForwardedProto, .xForwardedHost, .xForwardedPort, .xRealIP, .xRequestID, .traceparent, .tracestate:
            true
        default:
            false
        }
    }
}
