// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Testing
import Wire

@Suite struct DeflateNegotiationTests {
    private static let agreement = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

    /// Each argument is the value of one header line.
    private func answer(_ lines: String...) throws(HTTPFault) -> String? {
        let extensions = lines.map { "Sec-WebSocket-Extensions: \($0)\r\n" }.joined()
        let text =
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\(extensions)\r\n"
        let bytes = [UInt8](text.utf8)
        var parser = RequestHeadParser()
        _ = try parser.parse(bytes.span)
        _ = try WebSocketHandshake.check(parser.head, in: bytes.span)
        return WebSocketDeflate.negotiate(parser.head, in: bytes.span)
    }

    @Test(
        arguments: [
            "permessage-deflate", "permessage-deflate; client_max_window_bits", "permessage-deflate;client_max_window_bits=8",
            "permessage-deflate ; client_max_window_bits = \"10\"", "permessage-deflate; server_no_context_takeover",
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover", "x-other, permessage-deflate",
            "permessage-deflate; client_max_window_bits=\"1\\5\"", ", ,permessage-deflate,", "x;y=z, permessage-deflate",
            "permessage-deflate; server_max_window_bits=10, permessage-deflate", "permessage-deflate; mode=fast, permessage-deflate",
        ]
    )
    func accepts(offer: String) throws {
        #expect(try answer(offer) == Self.agreement)
    }

    @Test func aConfirmedWindow() throws {
        #expect(try answer("permessage-deflate; server_max_window_bits=15") == Self.agreement + "; server_max_window_bits=15")
        #expect(try answer("permessage-deflate; server_max_window_bits=\"15\"") == Self.agreement + "; server_max_window_bits=15")
        // The first offer that can be met.
        #expect(
            try answer("permessage-deflate; server_max_window_bits=9, permessage-deflate; server_max_window_bits=15")?.hasSuffix("15")
                == true
        )
    }

    @Test func severalLines() throws {
        #expect(try answer("x-other", "permessage-deflate") == Self.agreement)
        #expect(try answer("permessage-deflate; unknown", "permessage-deflate; server_max_window_bits=15")?.hasSuffix("=15") == true)
    }

    @Test(
        arguments: [
            "", "x-other", "permessage-bzip2", "Permessage-Deflate", "permessage-deflate; unknown", "permessage-deflate; unknown=1",
            "permessage-deflate; server_max_window_bits", "permessage-deflate; server_max_window_bits=14",
            "permessage-deflate; server_max_window_bits=16", "permessage-deflate; server_max_window_bits=7",
            "permessage-deflate; server_max_window_bits=015", "permessage-deflate; server_max_window_bits=+15",
            "permessage-deflate; client_max_window_bits=16", "permessage-deflate; client_max_window_bits=08",
            "permessage-deflate; client_max_window_bits=x", "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; client_no_context_takeover=true",
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            "permessage-deflate; client_max_window_bits; client_max_window_bits=15",
            "permessage-deflate; server_max_window_bits=15; server_max_window_bits=15",
        ]
    )
    func declines(offer: String) throws {
        #expect(try answer(offer) == nil)
    }

    /// RFC 6455 section 9.1: what is not of the grammar fails the connection.
    @Test(
        arguments: [
            "permessage-deflate;", "; x", "permessage-deflate; =1", "permessage-deflate; a=", "permessage-deflate; a=\"",
            "permessage-deflate; a=\"\"", "permessage-deflate; a=\"b c\"", "permessage-deflate; a=\"b\\", "permessage deflate", "a=b",
            "\"a\"",
            "permessage-deflate; a=b=c", "permessage-deflate; a=\"b\"c", "permessage-deflate/1", "x; a=\"1,2\"",
        ]
    )
    func refuses(malformed: String) {
        #expect(throws: HTTPFault.badWebSocketExtensions) { try answer(malformed) }
        #expect(throws: HTTPFault.badWebSocketExtensions) { try answer("permessage-deflate", malformed) }
    }

    @Test func withoutTheHeaderThereIsNoneAndNoFault() throws {
        let bytes = [UInt8]("GET / HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
        var parser = RequestHeadParser()
        _ = try parser.parse(bytes)
        #expect(WebSocketDeflate.negotiate(parser.head, in: bytes) == nil)
    }

    // MARK: The client's side

    private func isAgreed(_ lines: String..., offersDeflate: Bool = true) throws(HTTPFault) -> Bool {
        let key = "dGhlIHNhbXBsZSBub25jZQ=="
        var fields: [(name: String, value: String)] = []
        for line in lines { fields.append(("Sec-WebSocket-Extensions", line)) }
        let bytes = WebSocketHandshake.response(accept: WebSocketHandshake.accept(for: [UInt8](key.utf8)), extraFields: fields)
        var parser = ResponseHeadParser()
        _ = try parser.parse(bytes.span)
        _ = try WebSocketHandshake.verify(parser.head, in: bytes.span, key: key, offersDeflate: offersDeflate)
        return try WebSocketDeflate.isAgreed(parser.head, in: bytes.span)
    }

    @Test func aClientTakesWhatItOffered() throws {
        #expect(try isAgreed(Self.agreement))
        #expect(try isAgreed("permessage-deflate; server_no_context_takeover; server_max_window_bits=9"))
        #expect(try !isAgreed())
        #expect(try !isAgreed(offersDeflate: false))
        #expect(try !isAgreed(""))
    }

    @Test(
        arguments: [
            // Its messages would need the ones before.
            "permessage-deflate", "permessage-deflate; client_no_context_takeover",
            "permessage-deflate; server_no_context_takeover; client_max_window_bits=15",
            "permessage-deflate; server_no_context_takeover; server_max_window_bits=16",
            "permessage-deflate; server_no_context_takeover; other", "x-other",
            "permessage-deflate; server_no_context_takeover, permessage-deflate; server_no_context_takeover", "permessage-deflate;",
        ]
    )
    func aClientRefuses(answer: String) {
        #expect(throws: HTTPFault.badWebSocketAnswer) { try isAgreed(answer) }
    }

    @Test func nobodyAgreesToWhatWasNotOffered() {
        #expect(throws: HTTPFault.badWebSocketAnswer) { try isAgreed(Self.agreement, offersDeflate: false) }
    }

    @Test func theOfferIsOneThatWeWouldMeet() throws {
        #expect(try answer(WebSocketDeflate.offer) == Self.agreement)
        let request = WebSocketHandshake.request(target: "/", host: "a", key: "k", extensions: WebSocketDeflate.offer)
        #expect(String(decoding: request, as: UTF8.self).contains("\r\nSec-WebSocket-Extensions: \(WebSocketDeflate.offer)\r\n"))
        let response = WebSocketHandshake.response(accept: "x", extensions: try answer("permessage-deflate"))
        #expect(String(decoding: response, as: UTF8.self).contains("\r\nSec-WebSocket-Extensions: \(Self.agreement)\r\n"))
    }
}
