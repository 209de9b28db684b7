// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Wire

/// A server's head becomes the head its client gets.
enum ResponseRewriter {
    struct Context {
        /// What the client asked for, in the rewritten head.
        let layout: RequestLayout
        /// As the server may write itself into `Location`.
        let authority: [UInt8]
        let isServerSecure: Bool
        /// The sticky cookie that is set, if any.
        let cookie: (name: String, value: String)?
        let connection: ConnectionField
        /// The client is HTTP/1.0: chunks are taken off, and the body ends with the connection.
        let removesChunks: Bool
        let coding: ResponseCoding
        let plan: HeaderPlan
        /// The listener's `Strict-Transport-Security` line, or nothing.
        let transportSecurity: [UInt8]
    }

    enum ConnectionField {
        case none
        case close
        /// HTTP/1.0 clients are told that their wish was granted.
        case keepAlive
        case upgrade
    }

    /// `request` is the rewritten request's bytes, which `context.layout` counts in.
    static func append(_ head: ResponseHead, _ bytes: Span<UInt8>, request: Span<UInt8>, _ context: Context, into out: inout [UInt8]) {
        HeadWriter.statusLine(of: head, in: bytes, into: &out)
        // Interim answers are the servers' affair: rules are for what ends a request, a 101 included.
        let isRuled = !context.plan.isEmpty && (head.status >= 200 || head.status == 101)
        let caching = caching(of: head, bytes, context)
        for field in head.fields where isForwarded(field, head, bytes, context) {
            if isRuled, context.plan.drops(field, in: bytes) { continue }
            switch field.known {
            case .cacheControl? where caching == .rewritten:
                continue
            case .strictTransportSecurity? where !context.transportSecurity.isEmpty:
                continue
            case nil where caching != .untouched && isForSharedCaches(field, bytes):
                continue
            case .etag? where context.coding == .gzip:
                appendWeak(field, bytes, into: &out)
            case .location?, .contentLocation?:
                appendLocation(field, bytes, request: request, context, into: &out)
            default:
                HeadWriter.field(field, in: bytes, into: &out)
            }
        }
        if context.coding == .gzip {
            out.append("Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n")
        } else if head.isChunked, !context.removesChunks, head.framing(for: context.layout.method) == .chunked {
            out.append("Transfer-Encoding: chunked\r\n")
        }
        if context.coding != .untouched, !variesByEncoding(head, bytes) { out.append("Vary: Accept-Encoding\r\n") }
        if let cookie = context.cookie {
            StickyCookies.appendSet(cookie.name, cookie.value, isSecure: context.layout.isSecure, into: &out)
            if caching == .rewritten {
                out.append("Cache-Control: private")
                if !context.plan.replacesCacheControl {
                    for value in head.fields.all(.cacheControl) { CacheControl.appendPrivateRest(bytes, value, to: &out) }
                }
                out.append("\r\n")
            }
        }
        if !context.transportSecurity.isEmpty, head.status >= 200 || head.status == 101, !context.plan.setsTransportSecurity {
            out.append(contentsOf: context.transportSecurity)
        }
        if isRuled { context.plan.append(to: &out, fields: head.fields, in: bytes) }
        switch context.connection {
        case .none: break
        case .close: out.append("Connection: close\r\n")
        case .keepAlive: out.append("Connection: keep-alive\r\n")
        case .upgrade: out.append("Connection: Upgrade\r\nUpgrade: websocket\r\n")
        }
        if head.status == 426, head.fields.contains(.upgrade) { out.append("Connection: Upgrade\r\n") }
        HeadWriter.end(&out)
    }

    private enum Caching {
        case untouched
        /// The server, or a rule, keeps shared caches away already.
        case privateAlready
        /// One line of ours says `private` and what else the server said.
        case rewritten
    }

    /// A shared cache would give this client's server to everybody, so a response that gains the cookie is private. HAProxy's `nocache`
    /// adds a second line, after which `public, s-maxage=60` is still there for a cache that reads the first; ours replaces it.
    private static func caching(of head: ResponseHead, _ bytes: Span<UInt8>, _ context: Context) -> Caching {
        // Nobody caches a 101.
        guard context.cookie != nil, head.status >= 200 else { return .untouched }
        if context.plan.isPrivate { return .privateAlready }
        guard !context.plan.replacesCacheControl else { return .rewritten }
        let isPrivate = head.fields.all(.cacheControl).contains { CacheControl.keepsSharedCachesAway(bytes, $0) }
        return isPrivate ? .privateAlready : .rewritten
    }

    /// RFC 9213: these count instead of `Cache-Control` for the caches they name.
    private static func isForSharedCaches(_ field: HTTPField, _ bytes: Span<UInt8>) -> Bool {
        let suffix: StaticString = "cdn-cache-control"
        let (name, length) = (field.name, suffix.utf8CodeUnitCount)
        if bytes.equalsIgnoringCase(name, "surrogate-control") { return true }
        return name.count >= length && bytes.equalsIgnoringCase(name.upperBound - length..<name.upperBound, suffix)
    }

    private static func isForwarded(_ field: HTTPField, _ head: ResponseHead, _ bytes: Span<UInt8>, _ context: Context) -> Bool {
        switch field.known {
        case .connection?, .keepAlive?, .proxyConnection?, .transferEncoding?, .te?, .proxyAuthenticate?:
            return false
        case .upgrade?:
            // 426 names the protocol to change to (RFC 9110 section 15.5.22); elsewhere it is this hop's affair.
            return head.status == 426
        case .trailer?:
            return !context.removesChunks
        case .contentLength?:
            // Forbidden with 1xx and 204 (RFC 9110 section 8.6): a client might wait for the body.
            return head.status >= 200 && head.status != 204 && context.coding != .gzip
        case nil where context.coding == .gzip && bytes.equalsIgnoringCase(field.name, "accept-ranges"):
            // Ranges of the server's content are none of what the client gets.
            return false
        default:
            return !head.fields.isNominatedByConnection(field, in: bytes)
        }
    }

    private static func variesByEncoding(_ head: ResponseHead, _ bytes: Span<UInt8>) -> Bool {
        head.fields.hasToken("accept-encoding", in: .vary, of: bytes) || head.fields.hasToken("*", in: .vary, of: bytes)
    }

    /// Compressed, the content is the same in meaning only (RFC 9110 section 8.8.1).
    private static func appendWeak(_ field: HTTPField, _ bytes: Span<UInt8>, into out: inout [UInt8]) {
        out.append(bytes, field.name)
        out.append(field.value.count > 2 && bytes.equals(field.value.lowerBound..<field.value.lowerBound + 2, "W/") ? ": " : ": W/")
        out.append(bytes, field.value)
        out.append("\r\n")
    }

    /// A URL of the server's own address becomes one of the address the client used.
    private static func appendLocation(
        _ field: HTTPField,
        _ bytes: Span<UInt8>,
        request: Span<UInt8>,
        _ context: Context,
        into out: inout [UInt8]
    ) {
        let value = field.value
        let scheme: StaticString = context.isServerSecure ? "https://" : "http://"
        let start = value.lowerBound + scheme.utf8CodeUnitCount
        let rest = start + context.authority.count
        guard rest <= value.upperBound, bytes.equalsIgnoringCase(value.lowerBound..<start, scheme),
            context.authority.indices.allSatisfy({ bytes[start + $0] == context.authority[$0] }),
            rest == value.upperBound || [0x2F, 0x3F, 0x23].contains(bytes[rest])
        else {
            HeadWriter.field(field, in: bytes, into: &out)
            return
        }
        out.append(bytes, field.name)
        out.append(": ")
        out.append(context.layout.isSecure ? "https" : "http")
        out.append("://")
        out.append(request, context.layout.host)
        out.append(bytes, rest..<value.upperBound)
        out.append("\r\n")
    }
}
