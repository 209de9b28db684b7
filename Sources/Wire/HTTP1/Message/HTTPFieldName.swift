// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// The fields somebody asks for, recognised once while the head is parsed. Fewer than 64, so that a set of them is one word.
package enum HTTPFieldName: UInt8, Sendable, CaseIterable {
    case host, connection, upgrade, contentLength, transferEncoding, te, trailer, keepAlive, expect, proxyConnection
    case http2Settings, cookie, setCookie, authorization, proxyAuthorization, proxyAuthenticate, origin, userAgent, referer
    case secWebSocketKey, secWebSocketVersion, secWebSocketProtocol, secWebSocketExtensions, secWebSocketAccept
    case accept, acceptEncoding, contentType, contentEncoding, cacheControl, vary, date, server, etag, range
    case ifMatch, ifNoneMatch, ifModifiedSince, retryAfter, location, contentLocation, lastEventID, idempotencyKey
    case forwarded, xForwardedFor, xForwardedProto, xForwardedHost, xForwardedPort, xRealIP, xRequestID, traceparent
    case tracestate, xKeyshadeToken, keyvaneState, strictTransportSecurity

    package var text: StaticString {
        switch self {
        case .host: "Host"
        case .connection: "Connection"
        case .upgrade: "Upgrade"
        case .contentLength: "Content-Length"
        case .transferEncoding: "Transfer-Encoding"
        case .te: "TE"
        case .trailer: "Trailer"
        case .keepAlive: "Keep-Alive"
        case .expect: "Expect"
        case .proxyConnection: "Proxy-Connection"
        case .http2Settings: "HTTP2-Settings"
        case .cookie: "Cookie"
        case .setCookie: "Set-Cookie"
        case .authorization: "Authorization"
        case .proxyAuthorization: "Proxy-Authorization"
        case .proxyAuthenticate: "Proxy-Authenticate"
        case .origin: "Origin"
        case .userAgent: "User-Agent"
        case .referer: "Referer"
        case .secWebSocketKey: "Sec-WebSocket-Key"
        case .secWebSocketVersion: "Sec-WebSocket-Version"
        case .secWebSocketProtocol: "Sec-WebSocket-Protocol"
        case .secWebSocketExtensions: "Sec-WebSocket-Extensions"
        case .secWebSocketAccept: "Sec-WebSocket-Accept"
        case .accept: "Accept"
        case .acceptEncoding: "Accept-Encoding"
        case .contentType: "Content-Type"
        case .contentEncoding: "Content-Encoding"
        case .cacheControl: "Cache-Control"
        case .vary: "Vary"
        case .date: "Date"
        case .server: "Server"
        case .etag: "ETag"
        case .range: "Range"
        case .ifMatch: "If-Match"
        case .ifNoneMatch: "If-None-Match"
        case .ifModifiedSince: "If-Modified-Since"
        case .retryAfter: "Retry-After"
        case .location: "Location"
        case .contentLocation: "Content-Location"
        case .lastEventID: "Last-Event-ID"
        case .idempotencyKey: "Idempotency-Key"
        case .forwarded: "Forwarded"
        case .xForwardedFor: "X-Forwarded-For"
        case .xForwardedProto: "X-Forwarded-Proto"
        case .xForwardedHost: "X-Forwarded-Host"
        case .xForwardedPort: "X-Forwarded-Port"
        case .xRealIP: "X-Real-IP"
        case .xRequestID: "X-Request-Id"
        case .traceparent: "traceparent"
        case .tracestate: "tracestate"
        case .xKeyshadeToken: "x-keyshade-token"
        case .keyvaneState: "Keyvane-State"
        case .strictTransportSecurity: "Strict-Transport-Security"
        }
    }

    /// Candidates by length: a lookup compares with two or three names at most.
    private static let byLength: [[HTTPFieldName]] = {
        let longest = allCases.map(\.text.utf8CodeUnitCount).max() ?? 0
        return (0...longest).map { length in allCases.filter { $0.text.utf8CodeUnitCount == length } }
    }()

    static func known(_ bytes: UnsafeBufferPointer<UInt8>, _ range: Range<Int>) -> HTTPFieldName? {
        guard range.count < byLength.count else { return nil }
        for candidate in byLength[range.count] where ASCII.equalsIgnoringCase(bytes, range, candidate.text) {
            return candidate
        }
        return nil
    }

    /// The known name that a server may take this one for: many read `_` as `-`.
    package static func meant(_ bytes: Span<UInt8>, _ range: Range<Int>) -> HTTPFieldName? {
        bytes.withUnsafeBufferPointer { meant($0, range) }
    }

    static func meant(_ bytes: UnsafeBufferPointer<UInt8>, _ range: Range<Int>) -> HTTPFieldName? {
        guard bytes[range].contains(0x5F) else { return known(bytes, range) }
        let folded = bytes[range].map { $0 == 0x5F ? 0x2D : $0 }
        return folded.withUnsafeBufferPointer { known($0, 0..<$0.count) }
    }

    /// The known name a text stands for, whatever its case.
    package init?(_ name: some StringProtocol) {
        let bytes = [UInt8](name.utf8)
        guard let known = bytes.withUnsafeBufferPointer({ HTTPFieldName.known($0, 0..<$0.count) }) else { return nil }
        self = known
    }
}
