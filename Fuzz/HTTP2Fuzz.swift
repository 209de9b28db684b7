// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Wire

/// A client's frames, through nghttp2 into HTTP/1.1. Holds: the cut changes nothing; a head that was let through is one whole head to the
/// HTTP/1.1 parser, or is refused there, with the body it was said to have; chunks that were written are read as what came; a body is
/// never longer than declared and never ends short of it.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzHTTP2(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    guard let input = FuzzInput(start, count) else { return 0 }
    let hasPreface = input.settings & 1 == 0
    // The upper bit chooses a small limit, so that it is met.
    let limit = input.settings & 0x80 == 0 ? 32 << 10 : 200
    // Answers that leave between the pieces close streams, and what comes for those depends on the cut.
    let interleaves = input.settings & 2 != 0
    _ = input.same("frames") { plan in
        let core = HTTP2Connection(limit: limit)
        if hasPreface { core.receive(Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + [0, 0, 0, 4, 0, 0, 0, 0, 0]) }
        var position = 0
        for end in plan where end > position {
            core.receive(Array(input.bytes[position..<end]))
            position = end
            if interleaves { core.send() }
        }
        core.send()
        return interleaves ? [] : core.result
    }
    return 0
}

/// In the place of the balancer's own, which is not compiled in here: what that one does, without sockets, exchanges and timers; every
/// request is answered at its head.
final class HTTP2Connection {
    struct Stream: Equatable {
        var head = ""
        var shape = HTTP2RequestHead.Shape.none
        var content: [UInt8] = []
        var isEnded = false
    }

    private let library = HTTP2Library(headerBytes: 1 << 16)
    private let limit: Int
    var outgoing = HTTP2Outgoing()
    private var session: HTTP2Session?
    private var budget = HTTP2Budget(HTTP2Limits())
    private var block: HTTP2RequestHead?
    private var trailers: HTTP2Trailers?
    private var bodies: [Int32: (body: HTTP2RequestBody, chunks: ChunkedBodyParser)] = [:]
    private var unsent: [Int32: Int] = [:]
    private var streams: [Int32: Stream] = [:]
    private var failure: String?
    private let answer = Array("HTTP/1.1 200 OK\r\nX-Name: v\r\nConnection: close\r\nSet-Cookie: a=b\r\n\r\n".utf8)

    init(limit: Int) {
        self.limit = limit
        session = HTTP2Session(library, of: self)
        session?.submitSettings(HTTP2Limits(), headerBytes: limit)
    }

    var result: [String] {
        // How much of a bad body was seen before it went bad depends on the cut.
        for (id, stream) in streams where !stream.isEnded { streams[id]?.content = [] }
        return streams.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" } + [failure ?? "fine"]
    }

    func receive(_ bytes: [UInt8]) {
        guard failure == nil, let session else { return }
        if let failed = session.receive(bytes.span) { failure = "\(failed)" }
    }

    func send() {
        while session?.produce(for: self) == true { _ = outgoing.take() }
        _ = outgoing.take()
    }

    func frameBegan(_ type: UInt8, length: Int, endsStream: Bool) -> Bool {
        if type != HTTP2FrameType.continuation {
            block = nil
            trailers = nil
        }
        return budget.frameCame(type, length: length, endsStream: endsStream, at: 1)
    }

    func headersBegan(isRequest: Bool) {
        if isRequest { block = HTTP2RequestHead(limit: limit) } else { trailers = HTTP2Trailers() }
    }

    func headerField(_ name: Span<UInt8>, _ value: Span<UInt8>) -> Bool {
        if block == nil { trailers?.add(name, value, limit: limit) }
        block?.add(name, value)
        return block?.isBomb != true
    }

    func headersEnded(stream: Int32, isRequest: Bool, endsStream: Bool) {
        guard isRequest else {
            if let trailers, !trailers.isMalformed { end(stream, trailers: trailers.bytes) }
            trailers = nil
            return
        }
        guard var block = block.take() else { return }
        let outcome = block.end(endsStream: endsStream) { "AAAAAAAAAAAAAAAAAAAAAA==" }
        guard case .request(let shape) = outcome else {
            session?.reset(stream: stream, .protocolError)
            streams[stream] = Stream(head: "\(outcome)")
            return
        }
        streams[stream] = Stream(head: judge(block.bytes, shape), shape: shape)
        bodies[stream] = (HTTP2RequestBody(shape), ChunkedBodyParser())
        respond(stream)
    }

    /// One head, all of it, with the body that the rest of the stream will be.
    private func judge(_ bytes: [UInt8], _ shape: HTTP2RequestHead.Shape) -> String {
        var parser = RequestHeadParser(limits: HeadLimits(bytes: 1 << 20, fields: 2000))
        do throws(HTTPFault) {
            guard case .complete(let length) = try parser.parse(bytes.span) else { fatalError("half a head: \(bytes)") }
            check(length == bytes.count, "a head and \(bytes.count - length) bytes behind it")
        } catch {
            return error.code
        }
        let head = parser.head
        check(head.version == .http11 && head.fields.count(of: .host) == 1, "not one host")
        switch (shape, head.framing) {
        case (.none, .none), (.none, .length(0)), (.chunked, .chunked), (.tunnel, .none), (.tunnel, .length): break
        case (.length(let told), .length(let read)): check(told == read, "\(told) is read as \(read)")
        default: fatalError("\(shape) is framed \(head.framing)")
        }
        check(head.wantsUpgrade == (shape == .tunnel), "an upgrade that isn't one")
        check(head.fields.count(of: .cookie) <= 1 && !head.fields.contains(.te), "crumbs are left")
        return String(decoding: bytes, as: UTF8.self)
    }

    private func respond(_ stream: Int32) {
        var parser = ResponseHeadParser()
        let answer = answer
        guard case .complete? = try? parser.parse(answer.span), let session else { return }
        let hasBody = stream % 4 == 1
        if hasBody { unsent[stream] = 5000 }
        let head = HTTP2ResponseFields(status: 200, fields: parser.head.fields)
        let interim = HTTP2ResponseFields(status: 103, fields: parser.head.fields)
        if stream % 8 == 1 { session.submitInterim(interim, in: answer.span, stream: stream) }
        session.submit(head, in: answer.span, stream: stream, hasBody: hasBody)
    }

    func dataReceived(stream: Int32, _ bytes: Span<UInt8>) {
        session?.consume(stream: stream, bytes.count)
        guard var (body, chunks) = bodies[stream] else { return }
        guard body.accept(bytes.count) else {
            bodies[stream] = nil
            session?.reset(stream: stream, .protocolError)
            return
        }
        if body.isChunked {
            var chunk: [UInt8] = []
            HTTP2RequestBody.appendChunk(bytes, to: &chunk)
            read(chunk, &chunks, stream)
        } else {
            streams[stream]?.content.append(bytes)
        }
        bodies[stream] = (body, chunks)
    }

    private func read(_ bytes: [UInt8], _ chunks: inout ChunkedBodyParser, _ stream: Int32) {
        do throws(HTTPFault) {
            let progress = try chunks.parse(bytes.span) { streams[stream]?.content += bytes[$0] }
            if case .complete(let used) = progress { check(used == bytes.count, "bytes behind a chunked body") }
        } catch {
            check(error == .badTrailer || error == .trailersTooLarge || error == .badFieldValue, "our chunks are \(error)")
            streams[stream]?.head += " \(error)"
        }
    }

    func dataEnded(stream: Int32) { end(stream, trailers: []) }

    private func end(_ stream: Int32, trailers: [UInt8]) {
        guard var (body, chunks) = bodies.removeValue(forKey: stream), body.end(trailers: trailers) else { return }
        if case .bytes(let bytes) = body.takeEnd() { read(bytes, &chunks, stream) }
        streams[stream]?.isEnded = true
        guard case .length(let told)? = streams[stream]?.shape else { return }
        let came = streams[stream]?.content.count ?? 0
        check(UInt64(came) == told, "\(told) were told, \(came) came")
    }

    func offer(stream: Int32, limit: Int) -> HTTP2DataOffer {
        guard let count = unsent[stream] else { return .failed }
        return count > limit ? .bytes(limit) : .last(count)
    }

    func take(stream: Int32, _ count: Int) {
        unsent[stream, default: 0] -= count
        outgoing.bytes.append(contentsOf: [UInt8](repeating: 0x78, count: count))
    }

    func settingsReceived() {}
    func invalidFrame() { _ = budget.glitched(at: 1) }
    func frameSent(_ type: UInt8, stream: Int32, endsStream: Bool, error: UInt32) {}
    func streamClosed(_ stream: Int32) { bodies[stream] = nil }
}
