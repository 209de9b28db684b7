// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Wire

/// An opening handshake as text, and how a server must answer it (RFC 6455 section 4).
package struct HandshakeRule: Sendable {
    package let name: String
    package let section: String
    /// With its empty line, and a body where it has one.
    package let request: String
    package let status: Int
    /// Lines of the answer's head, in lower case.
    package let fields: [String]
    package let missing: [String]

    /// `lines` replace those of a right request that begin alike, up to their colon; an empty value takes the line away.
    init(
        _ name: String,
        _ section: String,
        _ status: Int,
        requestLine: String = "GET /v1/watch HTTP/1.1",
        _ lines: [String] = [],
        body: String = "",
        fields: [String] = [],
        missing: [String] = []
    ) {
        self.name = name
        self.section = section
        self.status = status
        self.fields = fields
        self.missing = missing
        func fieldName(_ line: String) -> String { line.split(separator: ":", maxSplits: 1)[0].lowercased() }
        let replaced = Set(lines.map(fieldName))
        let kept = Self.right.filter { !replaced.contains(fieldName($0)) }
        let all = kept + lines.filter { !$0.hasSuffix(":") }
        request = ([requestLine] + all).joined(separator: "\r\n") + "\r\n\r\n" + body
    }

    private static let right = [
        "Host: 127.0.0.1", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ]
    private static let accept = "sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="

    package static let all: [HandshakeRule] = accepted + refused

    private static let accepted: [HandshakeRule] = [
        HandshakeRule("a right one", "4.2.2", 101, fields: [accept, "upgrade: websocket", "connection: upgrade"]),
        HandshakeRule("names and tokens in any case", "4.2.1", 101, ["CONNECTION: upGRADE", "uPGRADE: WebSocket"], fields: [accept]),
        HandshakeRule(
            "an upgrade among other tokens",
            "4.2.1",
            101,
            ["Connection: keep-alive, Upgrade", "Upgrade: h2x, websocket"],
            fields: [accept]
        ),
        HandshakeRule("two lines of Connection", "4.2.1", 101, ["Connection: keep-alive", "Connection: Upgrade"], fields: [accept]),
        HandshakeRule(
            "a subprotocol that nobody knows",
            "4.2.2",
            101,
            ["Sec-WebSocket-Protocol: soap, wamp"],
            fields: [accept],
            missing: ["sec-websocket-protocol:"]
        ),
        HandshakeRule(
            "a subprotocol that is known",
            "4.2.2",
            101,
            ["Sec-WebSocket-Protocol: soap, keyvane.v1"],
            fields: ["sec-websocket-protocol: keyvane.v1"]
        ),
        HandshakeRule(
            "an extension that nobody knows",
            "9.1",
            101,
            ["Sec-WebSocket-Extensions: x-webkit-something; a=1"],
            fields: [accept],
            missing: ["sec-websocket-extensions:"]
        ),
        HandshakeRule(
            "permessage-deflate",
            "RFC 7692 5.1",
            101,
            ["Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"],
            fields: ["sec-websocket-extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover"]
        ),
        HandshakeRule(
            "permessage-deflate with a parameter that does not exist",
            "RFC 7692 7.1",
            101,
            ["Sec-WebSocket-Extensions: permessage-deflate; window=9"],
            missing: ["sec-websocket-extensions:"]
        ),
        HandshakeRule(
            "permessage-deflate with a window that we don't keep",
            "RFC 7692 7.1.2.1",
            101,
            ["Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=9"],
            missing: ["sec-websocket-extensions:"]
        ),
    ]

    private static let refused: [HandshakeRule] = [
        HandshakeRule("POST", "4.2.1", 405, requestLine: "POST /v1/watch HTTP/1.1"),
        HandshakeRule("HTTP/1.0", "4.2.1", 400, requestLine: "GET /v1/watch HTTP/1.0"),
        HandshakeRule("HTTP/3.0", "4.2.1", 505, requestLine: "GET /v1/watch HTTP/3.0"),
        HandshakeRule("no Host", "4.2.1", 400, ["Host:"]),
        HandshakeRule("two Hosts", "4.2.1", 400, ["Host: a", "Host: b"]),
        HandshakeRule("no Upgrade", "4.2.1", 426, ["Upgrade:"], fields: ["upgrade: websocket"]),
        HandshakeRule("another Upgrade", "4.2.1", 426, ["Upgrade: websockets"]),
        HandshakeRule("no Connection", "4.2.1", 426, ["Connection:"]),
        HandshakeRule("another Connection", "4.2.1", 426, ["Connection: keep-alive"]),
        HandshakeRule("no version", "4.4", 426, ["Sec-WebSocket-Version:"], fields: ["sec-websocket-version: 13"]),
        HandshakeRule("version 8", "4.4", 426, ["Sec-WebSocket-Version: 8"], fields: ["sec-websocket-version: 13"]),
        HandshakeRule("version 14", "4.4", 426, ["Sec-WebSocket-Version: 14"], fields: ["sec-websocket-version: 13"]),
        HandshakeRule("version 013", "4.4", 426, ["Sec-WebSocket-Version: 013"]),
        HandshakeRule("two versions", "4.4", 426, ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8"]),
        HandshakeRule("no key", "4.2.1", 400, ["Sec-WebSocket-Key:"]),
        HandshakeRule("a key of 15 bytes", "4.2.1", 400, ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j"]),
        HandshakeRule("a key of 17 bytes", "4.2.1", 400, ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZTE="]),
        HandshakeRule("a key that is not base64", "4.2.1", 400, ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j!Q=="]),
        HandshakeRule(
            "two keys",
            "11.3.1",
            400,
            ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
        ),
        HandshakeRule("a body", "4.1", 400, ["Content-Length: 5"], body: "hello"),
        HandshakeRule("a body in chunks", "4.1", 400, ["Transfer-Encoding: chunked"], body: "5\r\nhello\r\n0\r\n\r\n"),
        HandshakeRule("extensions that are no list", "9.1", 400, ["Sec-WebSocket-Extensions: permessage-deflate;"]),
        HandshakeRule("an extension's value that is no token", "9.1", 400, ["Sec-WebSocket-Extensions: x; a=\"b c\""]),
        HandshakeRule("a page of another origin", "10.2", 403, ["Origin: https://elsewhere.example"]),
        HandshakeRule("another path", "4.2.1", 404, requestLine: "GET /v1/nothing HTTP/1.1"),
    ]

    /// nil where the answer is as it must be, else what it is.
    package func breach(port: UInt16) async throws -> String? {
        let socket = try RawSocket(port: port)
        let request = request
        let answer: String = await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                socket.write(request)
                var bytes: [UInt8] = []
                // The head only: behind a 101 the connection stays.
                while !String(decoding: bytes, as: UTF8.self).contains("\r\n\r\n") {
                    let more = socket.read()
                    if more.isEmpty { break }
                    bytes += more
                }
                continuation.resume(returning: String(decoding: bytes, as: UTF8.self))
            }
        }
        let head = answer.components(separatedBy: "\r\n\r\n")[0].lowercased()
        guard head.hasPrefix("http/1.1 \(status) ") else { return "\(answer.prefix(200)) and not \(status)" }
        if let field = fields.first(where: { !head.contains("\r\n\($0)") }) { return "no '\(field)' in \(head)" }
        if let field = missing.first(where: { head.contains("\r\n\($0)") }) { return "'\(field)' in \(head)" }
        return nil
    }
}
