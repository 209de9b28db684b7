// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Testing
import Wire

@Suite struct ResponseHeadTests {
    @Test func readsAWholeHeadHoweverItIsCut() {
        let text = "HTTP/1.1 404 Not Found, at all\r\nContent-Length: 5\r\nServer: x\r\n\r\n"
        let outcomes = responseOutcomes(text + "hello")
        guard outcomes.count == 1, case .response(let head) = outcomes[0] else {
            Issue.record("\(outcomes)")
            return
        }
        #expect(head.length == text.utf8.count && head.status == 404 && head.reason == "Not Found, at all")
        #expect(head.version == .http11 && head.fields == ["Content-Length=5", "Server=x"])
        #expect(head.getFraming == .length(5) && head.headFraming == .none && head.isPersistent)
    }

    @Test(
        arguments: [
            ("HTTP/1.1 200\r\n\r\n", BodyFraming.untilClose, false),
            ("HTTP/1.1 200 \r\n\r\n", .untilClose, false),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", .chunked, true),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n", .chunked, true),
            ("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", .none, true),
            // A body that must not be there and may come all the same: nobody else may get it for an answer.
            ("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", .none, false),
            ("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", .none, false),
            ("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", .none, true),
            ("HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", .none, false),
            ("HTTP/1.1 100 Continue\r\n\r\n", .none, true),
            ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", .none, false),
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", .length(0), false),
            ("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", .length(0), false),
            ("HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n", .length(0), true),
            ("HTTP/1.1 200 OK\r\nHost: a\r\nHost: b\r\nContent-Length: 1\r\nUpgrade: h2c\r\n\r\n", .length(1), true),
        ]
    )
    func decidesFramingAndPersistence(text: String, framing: BodyFraming, isPersistent: Bool) {
        let outcomes = responseOutcomes(text)
        guard outcomes.count == 1, case .response(let head) = outcomes[0] else {
            Issue.record("\(outcomes)")
            return
        }
        #expect(head.getFraming == framing && head.isPersistent == isPersistent && head.headFraming == .none)
    }

    @Test(
        arguments: [
            ("HTTP/1.1  200 OK\r\n", HTTPFault.badStatusLine), ("HTTP/1.1 20 OK\r\n", .badStatusLine),
            ("HTTP/1.1 2000 OK\r\n", .badStatusLine), ("HTTP/1.1 099 X\r\n", .badStatusLine), ("HTTP/1.1 600 X\r\n", .badStatusLine),
            ("HTTP/1.1 2OO OK\r\n", .badStatusLine), ("HTTP/1.1\r\n", .badStatusLine), ("ICY 200 OK\r\n", .badStatusLine),
            ("http/1.1 200 OK\r\n", .badStatusLine), ("HTTP/2.0 200 OK\r\n", .unsupportedVersion),
            ("HTTP/1.1 200 O\0K\r\n", .badStatusLine),
            ("HTTP/1.1 200 OK\n", .bareLineFeed), ("HTTP/1.1 200\n", .bareLineFeed), ("HTTP/1.1 200 OK\rX", .bareCarriageReturn),
            ("\r\nHTTP/1.1 200 OK\r\n", .badStatusLine), (" HTTP/1.1 200 OK\r\n", .badStatusLine),
            ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n", .repeatedContentLength),
            ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n", .lengthWithTransferEncoding),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n", .badTransferEncoding),
            ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n", .transferEncodingOnHTTP10),
            ("HTTP/1.1 200 OK\r\nX: a\r\n b\r\n", .foldedLine), ("HTTP/1.1 200 OK\r\nX : a\r\n", .spaceBeforeColon),
        ]
    )
    func refusesWhateverTheCut(text: String, fault: HTTPFault) {
        #expect(responseOutcomes(text) == [.fault(fault)])
    }

    @Test func interimResponsesAreHeadsOfTheirOwn() throws {
        let interim = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        let bytes = [UInt8]((interim + "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").utf8)
        var parser = ResponseHeadParser()
        #expect(try parser.parse(bytes) == .complete(length: interim.utf8.count))
        #expect(parser.head.status == 103 && parser.head.framing(for: .get) == .none)
        let rest = bytes.span.extracting(interim.utf8.count..<bytes.count)
        #expect(try parser.parse(rest) == .complete(length: rest.count - 2))
        #expect(parser.head.status == 200 && parser.head.framing(for: .get) == .length(2) && parser.head.fields.count == 1)
    }
}
