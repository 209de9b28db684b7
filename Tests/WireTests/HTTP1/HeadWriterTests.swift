// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Testing
import Wire

@Suite struct HeadWriterTests {
    @Test func writesWhatItsParserReads() {
        var out: [UInt8] = []
        HeadWriter.statusLine(431, into: &out)
        HeadWriter.field(.contentLength, decimal: 12_345, into: &out)
        HeadWriter.field(.connection, "close", into: &out)
        HeadWriter.field("X-Name", "value", into: &out)
        HeadWriter.end(&out)
        let text = "HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 12345\r\nConnection: close\r\nX-Name: value\r\n\r\n"
        #expect(String(decoding: out, as: UTF8.self) == text)
        guard case .response(let head) = responseOutcome(out) else {
            Issue.record("the answer does not parse")
            return
        }
        #expect(head.status == 431 && head.getFraming == .length(12_345) && !head.isPersistent)
    }

    @Test func copiesAParsedHead() throws {
        let bytes = [UInt8]("PATCH /a?b HTTP/1.0\r\nhost:  a  \r\nCookie: a=1; K=x; b=2\r\nX: \u{E9}\r\n\r\n".utf8)
        var parser = RequestHeadParser()
        _ = try parser.parse(bytes)
        var out: [UInt8] = []
        HeadWriter.requestLine(of: parser.head, in: bytes.span, into: &out)
        for field in parser.head.fields {
            if field.known == .cookie, case .keep(let pieces) = Cookies.removing("K", in: bytes.span, field.value) {
                HeadWriter.field(field, keeping: pieces, in: bytes.span, into: &out)
            } else {
                HeadWriter.field(field, in: bytes.span, into: &out)
            }
        }
        HeadWriter.end(&out)
        let text = "PATCH /a?b HTTP/1.1\r\nhost: a\r\nCookie: a=1; b=2\r\nX: \u{E9}\r\n\r\n"
        #expect(String(decoding: out, as: UTF8.self) == text)
    }

    @Test func copiesAParsedStatusLine() throws {
        let bytes = [UInt8]("HTTP/1.0 299 My Own\r\n\r\n".utf8)
        var parser = ResponseHeadParser()
        _ = try parser.parse(bytes)
        var out: [UInt8] = []
        HeadWriter.statusLine(of: parser.head, in: bytes.span, into: &out)
        #expect(String(decoding: out, as: UTF8.self) == "HTTP/1.1 299 My Own\r\n")
    }

    /// A value that came from a user must not start a line of its own.
    @Test func textValuesCannotInjectLines() {
        var out: [UInt8] = []
        HeadWriter.field("X", "a\r\nSet-Cookie: evil\r\n\r\n\0", into: &out)
        HeadWriter.field(.location, "/\r\nX: y", into: &out)
        HeadWriter.requestLine(.get, "/\r\nX: y", into: &out)
        #expect(String(decoding: out, as: UTF8.self) == "X: a  Set-Cookie: evil     \r\nLocation: /  X: y\r\nGET /  X: y HTTP/1.1\r\n")
    }

    @Test func smallAnswers() {
        func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
        #expect(
            text(
                HTTPResponseBytes.simple(
                    status: 503,
                    contentType: "application/json",
                    body: "{}",
                    extraFields: [("Retry-After", "1")],
                    keepAlive: false
                )
            )
                == "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: 2\r\nRetry-After: 1\r\nConnection: close\r\n\r\n{}"
        )
        #expect(text(HTTPResponseBytes.simple(status: 200, keepAlive: true)) == "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        #expect(text(HTTPResponseBytes.simple(status: 204, body: "x", keepAlive: true)) == "HTTP/1.1 204 No Content\r\n\r\n")
        #expect(
            text(HTTPResponseBytes.simple(status: 200, body: "abc", keepAlive: true, omitBody: true))
                == "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 3\r\n\r\n"
        )
        #expect(text(HTTPResponseBytes.simple(status: 599, keepAlive: true)) == "HTTP/1.1 599 \r\nContent-Length: 0\r\n\r\n")
    }

    @Test(arguments: [100, 101, 200, 400, 404, 426, 429, 431, 502, 503, 504, 505])
    func reasons(status: Int) {
        #expect(ReasonPhrase.text(status).utf8CodeUnitCount > 0)
    }

    @Test func decimals() {
        var out: [UInt8] = []
        for value in [0, 9, 10, 99, 100, -1, -120, Int.max, Int.min] {
            out.append(decimal: value)
            out.append(" ")
        }
        out.append(decimal: UInt64.max)
        let expected = "0 9 10 99 100 -1 -120 9223372036854775807 -9223372036854775808 18446744073709551615"
        #expect(String(decoding: out, as: UTF8.self) == expected)
    }
}
