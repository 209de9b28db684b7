// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Testing
import Wire

@Suite struct AcceptTests {
    private func asks(_ lines: String...) throws -> Bool {
        let bytes = [UInt8]("GET / HTTP/1.1\r\nHost: a\r\n\(lines.map { "Accept: \($0)\r\n" }.joined())\r\n".utf8)
        var parser = RequestHeadParser()
        _ = try parser.parse(bytes)
        return AcceptField.asks(for: "text/event-stream", parser.head.fields, in: bytes.span)
    }

    @Test(
        arguments: [
            "text/event-stream", "Text/Event-Stream", "text/html, text/event-stream;q=0.5", "text/event-stream; charset=utf-8; q=0.001",
            "text/event-stream;q=1", "text/event-stream ; q=1.000", "text/event-stream;q=0, text/event-stream", "text/event-stream;level=0",
            "text/event-stream;q=",
        ]
    )
    func yes(value: String) throws {
        #expect(try asks(value))
        #expect(try asks("text/html", value))
    }

    @Test(
        arguments: [
            "", "*/*", "text/*", "text/html", "text/event-stream;q=0", "text/event-stream; Q=0.000", "text/event-stream;a=b; q=0.",
            "text/event-streams", "x-text/event-stream", "text/html;a=text/event-stream",
        ]
    )
    func no(value: String) throws {
        #expect(try !asks(value))
    }

    @Test func without() throws {
        #expect(try !asks())
    }
}
