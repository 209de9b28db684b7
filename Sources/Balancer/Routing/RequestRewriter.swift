// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Wire

/// Where the parts of a rewritten head are that are needed until its response is there. Ranges count in the rewritten bytes.
struct RequestLayout {
    let method: HTTPMethod
    let version: HTTPVersion
    let host: Range<Int>
    /// Of a WebSocket upgrade.
    let key: Range<Int>?
    /// As the client sees it.
    let isSecure: Bool
}

/// A client's head becomes the head its server gets.
enum RequestRewriter {
    struct Context {
        let forwarding: ForwardingFields
        let name: RequestName
        let cookies: StickyCookies
        let isUpgrade: Bool
        let plan: HeaderPlan
    }

    /// `host` is the head's own `Host`, which every forwarded request has.
    static func append(
        _ head: RequestHead,
        _ bytes: Span<UInt8>,
        host: Range<Int>,
        _ context: Context,
        into out: inout [UInt8]
    ) -> RequestLayout {
        HeadWriter.requestLine(of: head, in: bytes, into: &out)
        // First in the head, where the servers look for it first (RFC 9110 section 7.2), and found again without a search.
        out.append("Host: ")
        let hostStart = out.count
        out.append(bytes, host)
        out.append("\r\n")
        var key: Range<Int>?
        for field in head.fields where isForwarded(field, head, bytes, context) {
            if field.known == .cookie {
                context.cookies.appendLine(field, in: bytes, into: &out)
                continue
            }
            HeadWriter.field(field, in: bytes, into: &out)
            if field.known == .secWebSocketKey { key = out.count - 2 - field.value.count..<out.count - 2 }
        }
        if head.framing == .chunked { out.append("Transfer-Encoding: chunked\r\n") }
        if !context.plan.isEmpty { context.plan.append(to: &out, fields: head.fields, in: bytes) }
        // Trailers are passed on, so the server may send some (RFC 9110 section 10.1.4).
        if head.version == .http11, !context.isUpgrade, head.fields.hasToken("trailers", in: .te, of: bytes) {
            out.append("TE: trailers\r\nConnection: TE\r\n")
        }
        if context.isUpgrade { out.append("Connection: Upgrade\r\nUpgrade: websocket\r\n") }
        context.forwarding.append(head: head, bytes: bytes, host: host, name: context.name, into: &out)
        HeadWriter.end(&out)
        return RequestLayout(
            method: head.method,
            version: head.version,
            host: hostStart..<hostStart + host.count,
            key: context.isUpgrade ? key : nil,
            isSecure: context.forwarding.isSecure(head.fields, bytes)
        )
    }

    /// `Content_Length` and its like: servers that read `_` as `-` would find a second length, or a hop's affairs.
    private static func isFramingInDisguise(_ field: HTTPField, _ bytes: Span<UInt8>) -> Bool {
        guard field.hasUnderscore(in: bytes) else { return false }
        return switch HTTPFieldName.meant(bytes, field.name) {
        case .contentLength?, .host?, .connection?, .keepAlive?, .proxyConnection?, .upgrade?, .te?, .transferEncoding?, .http2Settings?,
            .proxyAuthorization?:
            true
        default:
            false
        }
    }

    private static func isForwarded(_ field: HTTPField, _ head: RequestHead, _ bytes: Span<UInt8>, _ context: Context) -> Bool {
        switch field.known {
        case .host?, .connection?, .keepAlive?, .proxyConnection?, .upgrade?, .te?, .transferEncoding?, .http2Settings?,
            .proxyAuthorization?:
            return false
        case .contentLength?:
            // Even where `Connection` names it: a body without its length would be read as the next request.
            return true
        case .expect? where head.version == .http10:
            return false
        case .secWebSocketKey?, .secWebSocketVersion?:
            if context.isUpgrade { return true }
        case nil where bytes.equalsIgnoringCase(field.name, "proxy"):
            // CGI programs take it for the variable HTTP_PROXY.
            return false
        case nil where isFramingInDisguise(field, bytes):
            return false
        default:
            break
        }
        if ForwardingFields.isForwarding(field, in: bytes) { return false }
        if !context.plan.isEmpty, context.plan.drops(field, in: bytes) { return false }
        return !head.fields.isNominatedByConnection(field, in: bytes)
    }
}
