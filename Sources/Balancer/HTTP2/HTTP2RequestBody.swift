// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Wire

/// A stream's request behind its head: how much may come, what has come and waits, and what the windows lack. Owned by its stream.
struct HTTP2RequestBody {
    enum End {
        case none
        /// Of a chunked body: the last chunk and the trailers.
        case bytes([UInt8])
        /// Of a tunnel: the client has finished sending.
        case finished
    }

    private let shape: HTTP2RequestHead.Shape
    private var remaining: UInt64
    private var held: [UInt8] = []
    private var heldEnd: [UInt8]?
    private(set) var hasEnded: Bool
    /// Bytes for which no window has been opened again.
    private(set) var unconsumed = 0

    init(_ shape: HTTP2RequestHead.Shape) {
        self.shape = shape
        hasEnded = shape == .none
        switch shape {
        case .length(let length): remaining = length
        case .chunked, .tunnel: remaining = .max
        case .none: remaining = 0
        }
    }

    var isChunked: Bool { shape == .chunked }
    var isHolding: Bool { !held.isEmpty }
    /// Is anything due when the user reads again?
    var isWaiting: Bool { isHolding || heldEnd != nil || unconsumed > 0 }

    /// False where so many are too many.
    mutating func accept(_ count: Int) -> Bool {
        unconsumed += count
        guard !hasEnded, UInt64(count) <= remaining else { return false }
        remaining -= UInt64(count)
        return true
    }

    mutating func hold(_ bytes: Span<UInt8>) {
        held.append(bytes)
    }

    mutating func takeHeld() -> [UInt8] {
        let taken = held
        held = []
        return taken
    }

    mutating func takeUnconsumed() -> Int {
        let taken = unconsumed
        unconsumed = 0
        return taken
    }

    /// False where bytes are missing, or it has ended before.
    mutating func end(trailers: [UInt8]) -> Bool {
        guard !hasEnded else { return false }
        hasEnded = true
        if case .length = shape, remaining > 0 { return false }
        heldEnd = trailers
        return true
    }

    /// What the user is told of the end, once.
    mutating func takeEnd() -> End {
        guard let trailers = heldEnd else { return .none }
        heldEnd = nil
        switch shape {
        case .none, .length:
            // A length leaves no place for trailers: they are dropped, as RFC 9110 section 6.5.1 allows.
            return .none
        case .chunked:
            var bytes: [UInt8] = []
            bytes.append("0\r\n")
            bytes.append(trailers.span)
            bytes.append("\r\n")
            return .bytes(bytes)
        case .tunnel:
            return .finished
        }
    }

    static func appendChunk(_ bytes: Span<UInt8>, to out: inout [UInt8]) {
        guard !bytes.isEmpty else { return }
        out.append(String(bytes.count, radix: 16))
        out.append("\r\n")
        out.append(bytes)
        out.append("\r\n")
    }
}

/// The lines of a request's trailers. The chunked body's parser judges what they may be; here nothing may end a line.
struct HTTP2Trailers {
    private(set) var bytes: [UInt8] = []
    private(set) var isMalformed = false

    mutating func add(_ name: Span<UInt8>, _ value: Span<UInt8>, limit: Int) {
        guard HTTP2RequestHead.isLowerCaseToken(name), HTTP2RequestHead.isPlain(value),
            bytes.count + name.count + value.count + 4 <= limit
        else {
            isMalformed = true
            return
        }
        bytes.append(name)
        bytes.append(": ")
        bytes.append(value)
        bytes.append("\r\n")
    }
}
