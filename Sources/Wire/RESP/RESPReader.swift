// Keyvane
// SPDX-License-Identifier: Apache-2.0

import CHiredis

/// Bytes from Redis become replies, by hiredis' reader. Owned by one connection and confined like it; the C reader is freed in
/// `deinit`, and no pointer leaves this file. hiredis 0.14 and 1.x differ in their struct layouts, so fields are set by name.
/// Replies are built by our own callbacks: no C reply objects, no second copy. Limits are checked before memory is taken, and a
/// reply that is still incomplete above `limits.bytes` is a fault, so a hostile peer costs that much and no more.
package final class RESPReader {
    private static let slice = 16 << 10

    private let reader: UnsafeMutablePointer<redisReader>
    private let functions: UnsafeMutablePointer<redisReplyObjectFunctions>
    private let builder: RESPReplyBuilder
    private let limits: RESPLimits
    /// Bytes of the reply that hiredis has begun and not ended.
    private var unfinished = 0
    /// The first bytes of a published message that was cut off, kept from hiredis to be recognised with the rest.
    private var beginning: [UInt8] = []

    /// nil only when memory ran out.
    package init?(limits: RESPLimits = RESPLimits()) {
        let functions = UnsafeMutablePointer<redisReplyObjectFunctions>.allocate(capacity: 1)
        functions.initialize(to: Self.callbacks())
        guard let reader = redisReaderCreateWithFunctions(functions) else {
            functions.deallocate()
            return nil
        }
        self.reader = reader
        self.functions = functions
        self.limits = limits
        builder = RESPReplyBuilder(limits: limits)
        // Not retained: the builder lives as long as this object, the reader not longer.
        reader.pointee.privdata = Unmanaged.passUnretained(builder).toOpaque()
    }

    deinit {
        redisReaderFree(reader)
        functions.deallocate()
    }

    /// Takes the bytes over; then call `next` until it has none. After a fault the connection is to be closed.
    package func feed(_ bytes: Span<UInt8>) throws(RESPFault) {
        let begun = beginning
        beginning = []
        try give(begun.span)
        try give(bytes)
    }

    /// The next complete reply, or nil when it takes more bytes.
    package func next() throws(RESPFault) -> RESPValue? {
        var token: UnsafeMutableRawPointer?
        guard redisReaderGetReply(reader, &token) == REDIS_OK else { throw fault() }
        if token != nil {
            unfinished = reader.pointee.len - reader.pointee.pos
            return builder.take()
        }
        if unfinished > limits.bytes { throw .tooLarge }
        return nil
    }

    /// `feed` and `next` in one. Published messages (`message`, channel, payload) go to `message`, everything else to `reply`, in
    /// their order; a message that lies whole in `bytes` is lent from there without a copy.
    package func read(
        _ bytes: Span<UInt8>,
        message: (_ channel: Span<UInt8>, _ payload: Span<UInt8>) -> Void,
        reply: (RESPValue) -> Void
    ) throws(RESPFault) {
        var position = 0
        while position < bytes.count {
            if !beginning.isEmpty {
                position = try goOn(bytes, from: position, message, reply)
                continue
            }
            guard unfinished == 0 else {
                position = try giveSlice(bytes, from: position, message, reply)
                continue
            }
            switch RESPPush.recognise(bytes, from: position, limit: limits.bytes) {
            case .message(let push):
                message(bytes.extracting(push.channel), bytes.extracting(push.payload))
                position = push.end
            case .incomplete:
                beginning.append(bytes.extracting(position..<bytes.count))
                position = bytes.count
            case .other:
                position = try giveSlice(bytes, from: position, message, reply)
            }
        }
    }

    /// Adds to the message that was cut off exactly what it lacks, so that the next one is whole in `bytes` again.
    private func goOn(
        _ bytes: Span<UInt8>,
        from start: Int,
        _ message: (Span<UInt8>, Span<UInt8>) -> Void,
        _ reply: (RESPValue) -> Void
    ) throws(RESPFault) -> Int {
        var position = start
        while true {
            switch RESPPush.recognise(beginning.span, from: 0, limit: limits.bytes) {
            case .message(let push):
                let whole = beginning
                beginning = []
                message(whole.span.extracting(push.channel), whole.span.extracting(push.payload))
                return position
            case .incomplete(let needed):
                guard position < bytes.count else { return position }
                let end = min(bytes.count, position + needed - beginning.count)
                beginning.append(bytes.extracting(position..<end))
                position = end
            case .other:
                let begun = beginning
                beginning = []
                try give(begun.span)
                try drain(message, reply)
                return position
            }
        }
    }

    /// In slices, so that a burst of small replies is not moved about in hiredis' buffer again and again.
    private func giveSlice(
        _ bytes: Span<UInt8>,
        from position: Int,
        _ message: (Span<UInt8>, Span<UInt8>) -> Void,
        _ reply: (RESPValue) -> Void
    ) throws(RESPFault) -> Int {
        let end = min(bytes.count, position + Self.slice)
        try give(bytes.extracting(position..<end))
        try drain(message, reply)
        return end
    }

    private func drain(_ message: (Span<UInt8>, Span<UInt8>) -> Void, _ reply: (RESPValue) -> Void) throws(RESPFault) {
        while let value = try next() {
            if let (channel, payload) = RESPPush.parts(of: value) {
                message(channel.span, payload.span)
            } else {
                reply(value)
            }
        }
    }

    private func give(_ bytes: Span<UInt8>) throws(RESPFault) {
        guard !bytes.isEmpty else { return }
        let result = bytes.withUnsafeBytes { redisReaderFeed(reader, $0.baseAddress?.assumingMemoryBound(to: CChar.self), $0.count) }
        guard result == REDIS_OK else { throw fault() }
        unfinished += bytes.count
    }

    private func fault() -> RESPFault {
        if builder.isOverLimit { return .tooLarge }
        if reader.pointee.err == REDIS_ERR_OOM { return .outOfMemory }
        let text = withUnsafeBytes(of: reader.pointee.errstr) { text in
            String(decoding: text.prefix { $0 != 0 }, as: UTF8.self)
        }
        return .malformed(text)
    }

    /// What hiredis calls for each piece. The result only has to be non-null: the pieces themselves are in the builder.
    private static func callbacks() -> redisReplyObjectFunctions {
        var functions = redisReplyObjectFunctions()
        functions.createString = { task, text, count in
            guard let task, let text else { return nil }
            let bytes = UnsafeRawBufferPointer(start: text, count: count)
            switch task.pointee.type {
            case REDIS_REPLY_STATUS: return RESPReader.ended(task, .simple(String(decoding: bytes, as: UTF8.self)))
            case REDIS_REPLY_ERROR: return RESPReader.ended(task, .error(String(decoding: bytes, as: UTF8.self)))
            default: return RESPReader.ended(task, .bulk([UInt8](bytes)))
            }
        }
        functions.createArray = { task, count in
            guard let task, let builder = RESPReader.builder(task), builder.arrayBegan(count: Int(count)) else { return nil }
            return task.pointee.privdata
        }
        functions.createInteger = { task, value in
            task.flatMap { RESPReader.ended($0, .integer(Int64(value))) }
        }
        functions.createNil = { task in
            task.flatMap { RESPReader.ended($0, .null) }
        }
        functions.freeObject = { _ in }
        return functions
    }

    private static func builder(_ task: UnsafePointer<redisReadTask>) -> RESPReplyBuilder? {
        task.pointee.privdata.map { Unmanaged<RESPReplyBuilder>.fromOpaque($0).takeUnretainedValue() }
    }

    private static func ended(_ task: UnsafePointer<redisReadTask>, _ value: RESPValue) -> UnsafeMutableRawPointer? {
        builder(task)?.valueEnded(value)
        return task.pointee.privdata
    }
}
