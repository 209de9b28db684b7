// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor
import Wire

/// What the HTTP/2 connections of a loop share, so that an idle one owns little: the library's tables, a parser, buffers, and one flush for
/// all of a turn. Confined to its loop, which owns it.
final class HTTP2Shared {
    /// A buffer that grew beyond this isn't kept.
    private static let largestBuffer = 256 << 10
    private static let buffersKept = 4

    let library: HTTP2Library
    let limits: HTTP2Limits
    private let loop: Loop
    private let head: HeadLimits
    private var responseParser: ResponseHeadParser
    private var buffers: [[UInt8]] = []
    private var heads: [HTTP2RequestHead] = []
    private var waiting: [HTTP2Connection] = []

    init(_ limits: HTTP2Limits, head: HeadLimits, loop: Loop) {
        self.limits = limits
        self.head = head
        self.loop = loop
        // The balancer's own fields come on top of what a server may send.
        let response = HeadLimits(bytes: head.bytes * 2, fields: head.fields * 2)
        responseParser = ResponseHeadParser(limits: response)
        library = HTTP2Library(headerBytes: response.bytes)
    }

    var headerBytes: Int { head.bytes }

    /// The head that `bytes` begin with, which is whole; nil where it is none.
    func readResponse(_ bytes: Span<UInt8>) -> ResponseHead? {
        guard case .complete? = try? responseParser.parse(bytes) else {
            responseParser.reset()
            return nil
        }
        return responseParser.head
    }

    /// An empty buffer; give it back.
    func takeBuffer() -> [UInt8] {
        buffers.popLast() ?? []
    }

    func giveBack(_ buffer: consuming [UInt8]) {
        guard buffers.count < Self.buffersKept, buffer.capacity <= Self.largestBuffer else { return }
        buffer.removeAll(keepingCapacity: true)
        buffers.append(buffer)
    }

    func takeHead() -> HTTP2RequestHead {
        heads.popLast() ?? HTTP2RequestHead(limit: head.bytes)
    }

    func giveBack(_ used: consuming HTTP2RequestHead) {
        guard heads.count < Self.buffersKept else { return }
        used.reset()
        heads.append(used)
    }

    /// What all streams of a connection write in one turn leaves together.
    func flush(_ connection: HTTP2Connection) {
        waiting.append(connection)
        guard waiting.count == 1 else { return }
        loop.defer { [self] in
            let due = waiting
            waiting = []
            for connection in due { connection.flush() }
        }
    }
}
