// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Testing
import Wire

/// A head that is refused, and the byte at which that must be known.
struct Refusal: CustomTestStringConvertible, Sendable {
    let text: String
    let fault: HTTPFault
    /// The shortest prefix that shows the fault; nil where the whole text does.
    let visibleAt: String?

    init(_ text: String, _ fault: HTTPFault, at visibleAt: String? = nil) {
        self.text = text
        self.fault = fault
        self.visibleAt = visibleAt
    }

    var testDescription: String { text.debugDescription }
}

@Suite struct RequestRefusalTests {
    static let line = "GET / HTTP/1.1\r\n"
    static let host = line + "Host: a\r\n"

    static let requestLines: [Refusal] = [
        Refusal("\n", .bareLineFeed),
        Refusal("\rG", .bareCarriageReturn),
        Refusal("\r\n\r\nGET / HTTP/1.1\r\n", .badMethod, at: "\r\n\r"),
        Refusal(" GET / HTTP/1.1\r\n", .badMethod, at: " "),
        Refusal("G(T / HTTP/1.1\r\n", .badMethod, at: "G("),
        Refusal("GET\t/ HTTP/1.1\r\n", .badMethod, at: "GET\t"),
        Refusal("GET\r\n", .badMethod, at: "GET\r"),
        Refusal("GET\n", .bareLineFeed, at: "GET\n"),
        Refusal("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG", .methodTooLong),
        Refusal("CONNECT a:443 HTTP/1.1\r\n", .connectMethod, at: "CONNECT "),
        Refusal("GET  / HTTP/1.1\r\n", .badRequestLine, at: "GET  "),
        Refusal("GET http://a/ HTTP/1.1\r\n", .absoluteTarget, at: "GET h"),
        Refusal("GET a HTTP/1.1\r\n", .absoluteTarget, at: "GET a"),
        Refusal("GET * HTTP/1.1\r\n", .absoluteTarget, at: "GET *"),
        Refusal("OPTIONS ** HTTP/1.1\r\n", .badTarget, at: "OPTIONS **"),
        Refusal("GET /a#b HTTP/1.1\r\n", .badTarget, at: "GET /a#"),
        Refusal("GET /\u{7F} HTTP/1.1\r\n", .badTarget, at: "GET /\u{7F}"),
        Refusal("GET /\0 HTTP/1.1\r\n", .badTarget, at: "GET /\0"),
        Refusal("GET /\u{E9} HTTP/1.1\r\n", .badTarget),
        Refusal("GET /\t HTTP/1.1\r\n", .badRequestLine, at: "GET /\t"),
        Refusal("GET /\r\n", .badRequestLine, at: "GET /\r"),
        Refusal("GET /\n", .bareLineFeed, at: "GET /\n"),
        Refusal("GET /  HTTP/1.1\r\n", .badRequestLine, at: "GET /  "),
        Refusal("GET / \n", .bareLineFeed, at: "GET / \n"),
        Refusal("GET / http/1.1\r\n", .badRequestLine, at: "GET / h"),
        Refusal("GET / HTTP/11\r\n", .badRequestLine, at: "GET / HTTP/11"),
        Refusal("GET / HTTP/a.1\r\n", .badRequestLine, at: "GET / HTTP/a"),
        Refusal("GET / HTTP/1.10\r\n", .badRequestLine, at: "GET / HTTP/1.10"),
        Refusal("GET / HTTP/1.1 \r\n", .badRequestLine, at: "GET / HTTP/1.1 "),
        Refusal("GET / HTTP/1.1 x\r\n", .badRequestLine, at: "GET / HTTP/1.1 "),
        Refusal("GET / HTTP/1.1\n", .bareLineFeed),
        Refusal("GET / HTTP/1.1\rH", .bareCarriageReturn),
        Refusal("GET / HTTP/1.1\r\r\n", .bareCarriageReturn, at: "GET / HTTP/1.1\r\r"),
        Refusal("GET / HTTP/1.2\r\n", .unsupportedVersion, at: "GET / HTTP/1.2"),
        Refusal("GET / HTTP/0.9\r\n", .unsupportedVersion, at: "GET / HTTP/0.9"),
        Refusal("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", .absoluteTarget, at: "PRI *"),
        Refusal("GET / HTTP/2.0\r\n", .unsupportedVersion, at: "GET / HTTP/2.0"),
    ]

    static let fieldLines: [Refusal] = [
        Refusal(line + " Host: a\r\n", .foldedLine, at: line + " "),
        Refusal(host + "\tX: a\r\n", .foldedLine, at: host + "\t"),
        Refusal(host + "X: a\r\n b\r\n", .foldedLine, at: host + "X: a\r\n "),
        Refusal(host + "X : a\r\n", .spaceBeforeColon, at: host + "X "),
        Refusal(host + "X\t: a\r\n", .spaceBeforeColon, at: host + "X\t"),
        Refusal(host + ": a\r\n", .emptyFieldName, at: host + ":"),
        Refusal(host + "X\r\n", .badFieldName, at: host + "X\r"),
        Refusal(host + "X\n", .bareLineFeed, at: host + "X\n"),
        Refusal(host + "\"X\": a\r\n", .badFieldName, at: host + "\""),
        Refusal(host + "X\0: a\r\n", .badFieldName, at: host + "X\0"),
        Refusal(host + "X\u{E9}: a\r\n", .badFieldName),
        Refusal(host + "X(: a\r\n", .badFieldName, at: host + "X("),
        Refusal(host + "X: a\0b\r\n", .badFieldValue, at: host + "X: a\0"),
        Refusal(host + "X: a\u{1}\r\n", .badFieldValue, at: host + "X: a\u{1}"),
        Refusal(host + "X: \u{B}\r\n", .badFieldValue, at: host + "X: \u{B}"),
        Refusal(host + "X: a\u{7F}\r\n", .badFieldValue, at: host + "X: a\u{7F}"),
        Refusal(host + "X: 0123456789abcdef\u{1F}\r\n", .badFieldValue, at: host + "X: 0123456789abcdef\u{1F}"),
        Refusal(host + "X: a\rb\r\n", .bareCarriageReturn, at: host + "X: a\rb"),
        Refusal(host + "X: a\r\r\n", .bareCarriageReturn, at: host + "X: a\r\r"),
        Refusal(host + "X: a\n\r\n", .bareLineFeed, at: host + "X: a\n"),
        Refusal(host + "\n", .bareLineFeed),
        Refusal(host + "\rX", .bareCarriageReturn),
    ]

    static let hosts: [Refusal] = [
        Refusal(line + "\r\n", .missingHost),
        Refusal(line + "X: a\r\n\r\n", .missingHost),
        Refusal(host + "Host: a\r\n", .repeatedHost),
        Refusal(host + "host: b\r\n", .repeatedHost),
        Refusal("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n", .repeatedHost),
        Refusal(line + "Host:\r\n", .badHost),
        Refusal(line + "Host: \t \r\n", .badHost),
        Refusal(line + "Host: a b\r\n", .badHost),
        Refusal(line + "Host: a,b\r\n", .badHost),
        Refusal(line + "Host: a/b\r\n", .badHost),
        Refusal(line + "Host: user@a\r\n", .badHost),
        Refusal(line + "Host: :80\r\n", .badHost),
        Refusal(line + "Host: a:b\r\n", .badHost),
        Refusal(line + "Host: a:65536\r\n", .badHost),
        Refusal(line + "Host: a:1:2\r\n", .badHost),
        Refusal(line + "Host: a%2\r\n", .badHost),
        Refusal(line + "Host: a%zz\r\n", .badHost),
        Refusal(line + "Host: [::1\r\n", .badHost),
        Refusal(line + "Host: []\r\n", .badHost),
        Refusal(line + "Host: [::1]x\r\n", .badHost),
        Refusal(line + "Host: \u{E9}\r\n", .badHost),
    ]

    static let framings: [Refusal] = [
        Refusal(host + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", .lengthWithTransferEncoding),
        Refusal(host + "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n", .lengthWithTransferEncoding),
        Refusal(host + "Content-Length: 1\r\nContent-Length: 1\r\n", .repeatedContentLength),
        Refusal(host + "Content-Length: 1\r\nContent-Length: 2\r\n", .repeatedContentLength),
        Refusal(host + "Content-Length: 1, 1\r\n", .badContentLength),
        Refusal(host + "Content-Length:\r\n", .badContentLength),
        Refusal(host + "Content-Length: +1\r\n", .badContentLength),
        Refusal(host + "Content-Length: -1\r\n", .badContentLength),
        Refusal(host + "Content-Length: 1 2\r\n", .badContentLength),
        Refusal(host + "Content-Length: 0x1\r\n", .badContentLength),
        Refusal(host + "Content-Length: 1.0\r\n", .badContentLength),
        Refusal(host + "Content-Length: ٣\r\n", .badContentLength),
        Refusal(host + "Content-Length: 9223372036854775808\r\n", .badContentLength),
        Refusal(host + "Content-Length: 18446744073709551617\r\n", .badContentLength),
        Refusal("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n", .transferEncodingOnHTTP10),
        Refusal(host + "Transfer-Encoding: Chunked\r\n", .badTransferEncoding),
        Refusal(host + "Transfer-Encoding: gzip\r\n", .badTransferEncoding),
        Refusal(host + "Transfer-Encoding: identity\r\n", .badTransferEncoding),
        Refusal(host + "Transfer-Encoding: gzip, chunked\r\n", .badTransferEncoding),
        Refusal(host + "Transfer-Encoding: chunked, identity\r\n", .badTransferEncoding),
        Refusal(host + "Transfer-Encoding: chunked;x=1\r\n", .badTransferEncoding),
        Refusal(host + "Transfer-Encoding: xchunked\r\n", .badTransferEncoding),
        Refusal(host + "Transfer-Encoding: \"chunked\"\r\n", .badTransferEncoding),
        Refusal(host + "Transfer-Encoding:\r\n", .badTransferEncoding),
        Refusal(host + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", .badTransferEncoding),
        Refusal(host + "Upgrade: h2c\r\n", .upgradeToHTTP2),
        Refusal(host + "Upgrade: websocket, H2C\r\n", .upgradeToHTTP2),
    ]

    @Test(arguments: requestLines + fieldLines + hosts + framings)
    func refusesWhateverTheCut(refusal: Refusal) {
        #expect(requestOutcomes(refusal.text) == [.fault(refusal.fault)])
    }

    /// A slow or lying peer gets its answer at the first wrong byte, not at the end of a head that may never end.
    @Test(arguments: (requestLines + fieldLines + hosts + framings).filter { $0.visibleAt != nil || $0.text.utf8.allSatisfy { $0 < 0x80 } })
    func refusesAtTheFirstWrongByte(refusal: Refusal) {
        let visible = [UInt8]((refusal.visibleAt ?? refusal.text).utf8)
        #expect(requestOutcome(visible) == .fault(refusal.fault))
        #expect(requestOutcome(Array(visible.dropLast())) == .incomplete)
    }

    @Test(
        arguments: [
            "a", "example.com", "example.com:80", "example.com:", "EXAMPLE.com.", "127.0.0.1:65535", "[::1]", "[::1]:443", "a_b-c~d",
            "a%41", "xn--bcher-kva.example", "[v1.a:b]",
        ]
    )
    func acceptsHosts(host: String) {
        let outcomes = requestOutcomes("GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n")
        guard outcomes.count == 1, case .request(let head) = outcomes[0] else {
            Issue.record("\(outcomes)")
            return
        }
        #expect(head.fields == ["Host=\(host)"])
    }

    @Test func everyForbiddenByteIsRefusedInNamesAndValues() {
        for byte in UInt8.min...UInt8.max {
            let name = [UInt8](Self.host.utf8) + [0x58, byte, 0x3A, 0x61, 13, 10, 13, 10]
            let value = [UInt8](Self.host.utf8) + [0x58, 0x3A, 0x61, byte, 0x61, 13, 10, 13, 10]
            let letters = UInt8(ascii: "a")...UInt8(ascii: "z")
            let isToken =
                letters.contains(byte | 0x20) && byte & 0x40 != 0 || (0x30...0x39).contains(byte) || "!#$%&'*+-.^_`|~".utf8.contains(byte)
            let nameIsAccepted = if case .request = requestOutcome(name) { true } else { false }
            let valueIsAccepted = if case .request = requestOutcome(value) { true } else { false }
            // "X::a" is a name and the value ":a".
            #expect(nameIsAccepted == (isToken || byte == 0x3A), "name byte \(byte)")
            #expect(valueIsAccepted == (byte == 9 || byte >= 0x20 && byte != 0x7F), "value byte \(byte)")
        }
    }
}
