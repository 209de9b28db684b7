// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Testing
import Wire

/// Each attack is one byte stream that two parsers in a row could cut differently. We must either refuse it, or cut it so that
/// what we would forward as one message is one message to the strictest and to the most lenient reader behind us.
@Suite struct SmugglingTests {
    /// Reads messages until the bytes end or are refused: the targets seen, then the fault if any.
    private func targets(_ text: String) -> [String] {
        let bytes = [UInt8](text.utf8)
        var seen: [String] = []
        var position = 0
        while position < bytes.count {
            var parser = RequestHeadParser()
            let rest = bytes.span.extracting(position..<bytes.count)
            do throws(HTTPFault) {
                guard case .complete(let length) = try parser.parse(rest) else { return seen + ["…"] }
                seen.append(rest.string(parser.head.target))
                var body = BodyParser(parser.head.framing)
                position += length
                guard !body.isComplete else { continue }
                guard case .complete(let consumed) = try body.advance(bytes.span.extracting(position..<bytes.count)) else {
                    return seen + ["…"]
                }
                position += consumed
            } catch {
                return seen + ["!\(error.code)"]
            }
        }
        return seen
    }

    private static let inner = "GET /inner HTTP/1.1\r\nHost: a\r\n\r\n"

    @Test(
        arguments: [
            // CL.TE and TE.CL: one reader believes the length, the other the chunks.
            ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "length_with_transfer_encoding"),
            ("Transfer-Encoding: chunked\r\nContent-Length: 35\r\n\r\n0\r\n\r\n", "length_with_transfer_encoding"),
            // TE.TE: a coding one of them does not recognise.
            ("Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "bad_transfer_encoding"),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n", "bad_transfer_encoding"),
            ("Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "bad_transfer_encoding"),
            ("Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", "bad_transfer_encoding"),
            ("Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", "space_before_colon"),
            ("Transfer-Encoding:\u{B}chunked\r\n\r\n0\r\n\r\n", "bad_field_value"),
            ("Transfer-Encoding: chunked\u{C}\r\n\r\n0\r\n\r\n", "bad_field_value"),
            ("Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", "bad_transfer_encoding"),
            ("X: y\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "obs_fold"),
            ("X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "bare_lf"),
            ("X: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "bare_cr"),
            ("X\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "bad_field_name"),
            ("X: y\0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "bad_field_value"),
            ("\u{FEFF}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "bad_field_name"),
            // CL.CL
            ("Content-Length: 0\r\nContent-Length: 35\r\n\r\n", "repeated_content_length"),
            ("Content-Length: 0, 35\r\n\r\n", "bad_content_length"),
            ("Content-Length: 35 0\r\n\r\n", "bad_content_length"),
            ("Content-Length: 0\r\n35\r\n\r\n", "bad_field_name"),
            ("Content-Length: 4294967296000000000000\r\n\r\n", "bad_content_length"),
            ("Content-Length: 0x23\r\n\r\n", "bad_content_length"),
            ("Content-Length: 3_5\r\n\r\n", "bad_content_length"),
            // Two hosts, two virtual servers.
            ("Host: b\r\n\r\n", "repeated_host"),
            // Lines that end in two ways.
            ("X: y\r\n\n", "bare_lf"),
            ("X: y\r\n\r\r\n", "bare_cr"),
        ]
    )
    func ambiguousHeadsAreRefused(fields: String, code: String) {
        #expect(targets("POST /outer HTTP/1.1\r\nHost: a\r\n" + fields + Self.inner) == ["!\(code)"])
    }

    @Test(
        arguments: [
            ("0\n\n", "bare_lf"), ("0\r\n\n", "bare_lf"), ("0\r\n\r\r\n", "bare_cr"), ("0\r\r\n", "bare_cr"),
            ("1\r\na\n0\r\n\r\n", "bare_lf"), ("1\r\nab0\r\n\r\n", "bad_chunk"), ("1\r\na\rb", "bare_cr"),
            ("0x0\r\n\r\n", "bad_chunk"), ("-0\r\n\r\n", "bad_chunk"), (" 0\r\n\r\n", "bad_chunk"), ("0 \r\n\r\n", "bad_chunk"),
            ("\r\n0\r\n\r\n", "bad_chunk"), (";x\r\n\r\n", "bad_chunk"), ("0;a\nb\r\n\r\n", "bare_lf"), ("0;a\rb\r\n\r\n", "bare_cr"),
            ("0;\0\r\n\r\n", "bad_chunk"), ("10000000000000000\r\n", "bad_chunk"), ("0000000000000000\r\n\r\n", "bad_chunk"),
            ("FFFFFFFFFFFFFFFF\r\n", "bad_chunk"), ("0\r\nContent-Length: 5\r\n\r\n", "bad_trailer"),
            ("0\r\nTransfer-Encoding: chunked\r\n\r\n", "bad_trailer"), ("0\r\nX : y\r\n\r\n", "space_before_colon"),
            ("0\r\nX: y\n\r\n", "bare_lf"), ("0\r\n X: y\r\n\r\n", "obs_fold"), ("0\r\nGET /x HTTP/1.1\r\n", "space_before_colon"),
        ]
    )
    func ambiguousChunksAreRefused(body: String, code: String) {
        let head = "POST /outer HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        #expect(targets(head + body + Self.inner) == ["/outer", "!\(code)"])
    }

    @Test func unambiguousPipelinesAreCutWhereTheyEnd() {
        let length = "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: \(Self.inner.utf8.count)\r\n\r\n" + Self.inner
        let chunks = "POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n23\r\n" + Self.inner + "xyz\r\n0\r\nX-T: GET\r\n\r\n"
        #expect(Self.inner.utf8.count + 3 == 0x23)
        #expect(targets(length + chunks + "\r\n" + Self.inner) == ["/1", "/2", "/inner"])
        // A GET may have a body; nobody may take it for the next request.
        #expect(targets("GET /3 HTTP/1.1\r\nHost: a\r\nContent-Length: 35\r\n\r\n" + Self.inner) == ["/3", "…"])
    }
}
