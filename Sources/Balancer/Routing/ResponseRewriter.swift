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
        /// The sticky cookie that is set, if any.
        let cookie: (name: String, value: String)?
        let connection: ConnectionField
        /// The client is HTTP/1.0: chunks are taken off, and the body ends with the connection.
        let removesChunks: Bool
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
        for field in head.fields where isForwarded(field, head, bytes, context) {
            switch field.known {
            case .location?, .contentLocation?:
                appendLocation(field, bytes, request: request, context, into: &out)
            default:
                HeadWriter.field(field, in: bytes, into: &out)
            }
        }
        if head.isChunked, !context.removesChunks, head.framing(for: context.layout.method) == .chunked {
            out.append("Transfer-Encoding: chunked\r\n")
        }
        if let cookie = context.cookie {
            StickyCookies.appendSet(cookie.name, cookie.value, into: &out)
            // A shared cache would give this client's server to everybody. Nobody caches a 101.
            if head.status != 101 { out.append("Cache-Control: private\r\n") }
        }
        switch context.connection {
        case .none: break
        case .close: out.append("Connection: close\r\n")
        case .keepAlive: out.append("Connection: keep-alive\r\n")
        case .upgrade: out.append("Connection: Upgrade\r\nUpgrade: websocket\r\n")
        }
        if head.status == 426, head.fields.contains(.upgrade) { out.append("Connection: Upgrade\r\n") }
        HeadWriter.end(&out)
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
            return head.status >= 200 && head.status != 204
        default:
            return !head.fields.isNominatedByConnection(field, in: bytes)
        }
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
        let rest = value.lowerBound + 7 + context.authority.count
        guard rest <= value.upperBound, bytes.equalsIgnoringCase(value.lowerBound..<value.lowerBound + 7, "http://"),
            context.authority.indices.allSatisfy({ bytes[value.lowerBound + 7 + $0] == context.authority[$0] }),
            rest == value.upperBound || [0x2F, 0x3F, 0x23].contains(bytes[rest])
        else {
            HeadWriter.field(field, in: bytes, into: &out)
            return
        }
        out.append(bytes, field.name)
        out.append(": ")
        out.append(context.layout.scheme)
        out.append("://")
        out.append(request, context.layout.host)
        out.append(bytes, rest..<value.upperBound)
        out.append("\r\n")
    }
}
