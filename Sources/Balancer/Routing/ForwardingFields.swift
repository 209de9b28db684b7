// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor
import Wire

/// What the servers are told of the client: addresses, scheme, and the names of the request. One per client connection, made at its
/// first request; the lines that never change for an untrusted peer are written once. Immutable.
final class ForwardingFields {
    /// The peer is one of `trusted_proxies`: what it says is carried on and added to.
    let isTrusted: Bool
    private let ranges: [AddressRange]
    private let address: String
    private let port: UInt16?
    /// The peer speaks TLS with us.
    private let comesSecurely: Bool
    private let constant: [UInt8]

    init(peer: SocketAddress?, listener: ListenerTraits, trusted ranges: [AddressRange]) {
        isTrusted = peer.map { peer in ranges.contains { $0.contains(peer) } } ?? false
        self.ranges = ranges
        address =
            switch peer?.unmapped {
            case .v4?, .v6?: peer?.unmapped.host ?? ""
            // The peers of a Unix socket have no address that means anything to a server.
            case .unix?, nil: "unknown"
            }
        port = listener.address.port
        comesSecurely = listener.isSecure
        var lines: [UInt8] = []
        if !isTrusted {
            HeadWriter.field(.xForwardedFor, address, into: &lines)
            HeadWriter.field(.xRealIP, address, into: &lines)
            HeadWriter.field(.xForwardedProto, listener.isSecure ? "https" : "http", into: &lines)
            if let port { HeadWriter.field(.xForwardedPort, decimal: port, into: &lines) }
        }
        constant = lines
    }

    /// Is this one of the fields that only a trusted peer may send? Some servers read `_` as `-`, so both count.
    static func isForwarding(_ field: HTTPField, in bytes: Span<UInt8>) -> Bool {
        switch field.known {
        case .forwarded?, .xForwardedFor?, .xForwardedProto?, .xForwardedHost?, .xForwardedPort?, .xRealIP?, .xRequestID?, .traceparent?,
            .tracestate?:
            return true
        case .some:
            return false
        case nil:
            let name = field.name
            return hasPrefix("x-forwarded-", bytes, name) || isName("x-real-ip", bytes, name) || isName("x-request-id", bytes, name)
        }
    }

    /// Adds our lines. With a trusted peer `head`'s own ones count.
    func append(head: RequestHead, bytes: Span<UInt8>, host: Range<Int>, name: RequestName, into out: inout [UInt8]) {
        guard isTrusted else {
            out.append(contentsOf: constant)
            appendHost(bytes, host, into: &out)
            appendForwarded(nil, bytes, host, into: &out)
            name.append(head.fields, bytes, into: &out)
            return
        }
        let fields = head.fields
        appendList(.xForwardedFor, fields, bytes, and: address, into: &out)
        if !Self.keep(.xRealIP, fields, bytes, into: &out) {
            HeadWriter.field(.xRealIP, clientAddress(fields, bytes), into: &out)
        }
        if !Self.keep(.xForwardedProto, fields, bytes, into: &out) { HeadWriter.field(.xForwardedProto, ownScheme, into: &out) }
        if !Self.keep(.xForwardedPort, fields, bytes, into: &out), let port {
            HeadWriter.field(.xForwardedPort, decimal: port, into: &out)
        }
        if !Self.keep(.xForwardedHost, fields, bytes, into: &out) { appendHost(bytes, host, into: &out) }
        appendForwarded(fields, bytes, host, into: &out)
        name.append(fields, bytes, into: &out)
        // Written with `_` it may be the client's own, which the trusted peer has not looked at.
        for field in fields where field.known == nil && Self.hasPrefix("x-forwarded-", bytes, field.name) && !field.hasUnderscore(in: bytes)
        {
            HeadWriter.field(field, in: bytes, into: &out)
        }
    }

    /// Does the client see https? A trusted peer may have ended TLS.
    func isSecure(_ fields: HTTPFields, _ bytes: Span<UInt8>) -> Bool {
        guard isTrusted, let proto = fields.first(.xForwardedProto) else { return comesSecurely }
        return bytes.equalsIgnoringCase(proto, "https")
    }

    /// The nearest address that is not one of the trusted proxies.
    func clientAddress(_ fields: HTTPFields, _ bytes: Span<UInt8>) -> String {
        guard isTrusted else { return address }
        var hops: [String] = []
        fields.forEachElement(of: .xForwardedFor, in: bytes) { hops.append(bytes.string($0)) }
        for hop in hops.reversed() {
            guard let parsed = SocketAddress(numeric: hop, port: 0) else { return address }
            if !ranges.contains(where: { $0.contains(parsed) }) { return hop }
        }
        return hops.first ?? address
    }

    private var ownScheme: StaticString { comesSecurely ? "https" : "http" }

    private func appendHost(_ bytes: Span<UInt8>, _ host: Range<Int>, into out: inout [UInt8]) {
        out.append("X-Forwarded-Host: ")
        out.append(bytes, host)
        out.append("\r\n")
    }

    /// RFC 7239. IPv6 stands in brackets and quotes; the host is quoted for its colon.
    private func appendForwarded(_ fields: HTTPFields?, _ bytes: Span<UInt8>, _ host: Range<Int>, into out: inout [UInt8]) {
        out.append("Forwarded: ")
        for earlier in fields?.all(.forwarded) ?? [] where !earlier.isEmpty {
            out.append(bytes, earlier)
            out.append(", ")
        }
        out.append(address.contains(":") ? "for=\"[\(address)]\";host=\"" : "for=\(address);host=\"")
        out.append(bytes, host)
        out.append("\";proto=")
        out.append(ownScheme)
        out.append("\r\n")
    }

    private func appendList(
        _ name: HTTPFieldName,
        _ fields: HTTPFields,
        _ bytes: Span<UInt8>,
        and last: String,
        into out: inout [UInt8]
    ) {
        out.append(name.text)
        out.append(": ")
        fields.forEachElement(of: name, in: bytes) { element in
            out.append(bytes, element)
            out.append(", ")
        }
        out.append(last)
        out.append("\r\n")
    }

    /// Copies the first line of this name; false where there is none.
    private static func keep(_ name: HTTPFieldName, _ fields: HTTPFields, _ bytes: Span<UInt8>, into out: inout [UInt8]) -> Bool {
        guard fields.contains(name), let field = fields.first(where: { $0.known == name }) else { return false }
        HeadWriter.field(field, in: bytes, into: &out)
        return true
    }

    private static func isName(_ text: StaticString, _ bytes: Span<UInt8>, _ name: Range<Int>) -> Bool {
        name.count == text.utf8CodeUnitCount && hasPrefix(text, bytes, name)
    }

    private static func hasPrefix(_ text: StaticString, _ bytes: Span<UInt8>, _ name: Range<Int>) -> Bool {
        guard name.count >= text.utf8CodeUnitCount else { return false }
        return text.withUTF8Buffer { text in
            for index in text.indices {
                var byte = bytes[name.lowerBound + index]
                if byte &- 0x41 < 26 { byte |= 0x20 }
                if byte == 0x5F { byte = 0x2D }
                if byte != text[index] { return false }
            }
            return true
        }
    }
}

/// The fields of one connection, for as long as its settings are the newest. Owned by whatever has the socket.
struct KnownForwarding {
    private var known: (fields: ForwardingFields, of: LoopSettings)?

    mutating func fields(peer: SocketAddress?, listener: ListenerTraits, _ settings: LoopSettings) -> ForwardingFields {
        if let known, known.of === settings { return known.fields }
        let made = ForwardingFields(peer: peer, listener: listener, trusted: settings.trustedProxies)
        known = (made, settings)
        return made
    }
}
