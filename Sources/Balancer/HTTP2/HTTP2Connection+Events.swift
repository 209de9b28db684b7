// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor
import Wire

/// What the session reads and asks for.
extension HTTP2Connection {
    /// A frame's header came. False: the peer is a nuisance, and `receive` fails with `.flooded`.
    func frameBegan(_ type: UInt8, length: Int, endsStream: Bool) -> Bool {
        // A block that was given up half-way has no end of its own.
        if type != HTTP2FrameType.continuation, head != nil || trailers != nil { blockEnded() }
        return budget.frameCame(type, length: length, endsStream: endsStream, at: host.loop.milliseconds)
    }

    func settingsReceived() {
        guard !hasSettings else { return }
        hasSettings = true
        headEnded()
    }

    /// A frame was refused, its stream or the connection with it.
    func invalidFrame() {
        if !budget.glitched(at: host.loop.milliseconds) { isNuisance = true }
    }

    // MARK: Header blocks

    func headersBegan(isRequest: Bool) {
        if isRequest { head = shared.takeHead() } else { trailers = HTTP2Trailers() }
        headBegan()
    }

    /// False: `receive` fails with `.flooded`.
    func headerField(_ name: Span<UInt8>, _ value: Span<UInt8>) -> Bool {
        if head != nil {
            head?.add(name, value)
            return head?.isBomb != true
        } else {
            trailers?.add(name, value, limit: shared.headerBytes)
            return true
        }
    }

    func headersEnded(stream id: Int32, isRequest: Bool, endsStream: Bool) {
        if isRequest {
            guard var block = head.take() else { return }
            begin(id, &block, endsStream: endsStream)
            shared.giveBack(block)
        } else if let block = trailers.take(), let stream = streams[id] {
            let isGood = endsStream && !block.isMalformed && stream.ended(trailers: block.bytes)
            if !isGood { reset(stream, .protocolError) }
        }
        headEnded()
    }

    private func blockEnded() {
        if let block = head.take() { shared.giveBack(block) }
        trailers = nil
        headEnded()
    }

    private func begin(_ id: Int32, _ block: inout HTTP2RequestHead, endsStream: Bool) {
        guard isTakingStreams else {
            // Nothing of it was looked at: the client may send it again elsewhere.
            session?.reset(stream: id, .refusedStream)
            return
        }
        switch block.end(endsStream: endsStream, key: { WebSocketHandshake.key((host.names.next(), host.names.next())) }) {
        case .malformed:
            session?.reset(stream: id, .protocolError)
        case .refused(let fault):
            let stream = HTTP2Stream(id, endsStream ? .none : .chunked, isHead: block.isHead, connection: self)
            streams.insert(stream)
            // It has the deadlines of every client: a window that stays shut mustn't hold the answer for ever.
            let client = ClientConnection(stream, of: self)
            client.start()
            client.refuse(fault, asHTML: false)
        case .request(let shape):
            let stream = HTTP2Stream(id, shape, isHead: block.isHead, connection: self)
            streams.insert(stream)
            ClientConnection(stream, of: self).start()
            stream.headReceived(block.bytes.span)
            if endsStream, shape == .tunnel, !stream.ended(trailers: []) { reset(stream, .protocolError) }
        }
    }

    // MARK: Bodies

    func dataReceived(stream id: Int32, _ bytes: Span<UInt8>) {
        guard let stream = streams[id], !stream.isReset else {
            session?.consume(bytes.count)
            return
        }
        if !stream.received(bytes) { reset(stream, .protocolError) }
    }

    func dataEnded(stream id: Int32) {
        guard let stream = streams[id], !stream.isReset else { return }
        if !stream.ended(trailers: []) { reset(stream, .protocolError) }
    }

    func offer(stream id: Int32, limit: Int) -> HTTP2DataOffer {
        streams[id]?.offer(limit) ?? .failed
    }

    /// Appends the bytes that were offered.
    func take(stream id: Int32, _ count: Int) {
        guard let stream = streams[id] else { return }
        if stream.take(count, into: &outgoing.bytes) { hasDrained(stream) }
    }

    // MARK: What was sent, what ended

    func frameSent(_ type: UInt8, stream id: Int32, endsStream: Bool, error: UInt32) {
        switch type {
        case HTTP2FrameType.data, HTTP2FrameType.headers:
            budget.dataSent()
            guard endsStream, let stream = streams[id] else { return }
            if stream.sentEnd() { reset(stream, .noError) }
        case HTTP2FrameType.reset:
            switch HTTP2ErrorCode(rawValue: error) {
            case .protocolError?, .flowControl?, .streamClosed?, .frameSize?:
                host.settings.metrics.countRejected(HTTP2Refusal.protocolFault.rawValue)
                if !budget.madeUsReset(at: host.loop.milliseconds) { isNuisance = true }
            case .noError?, .internalError?, .refusedStream?, .cancel?, .enhanceYourCalm?, nil:
                break
            }
        default:
            break
        }
    }

    func streamClosed(_ id: Int32) {
        guard let stream = streams[id] else { return }
        drop(stream)
    }
}
