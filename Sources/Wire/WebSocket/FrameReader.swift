// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// What was agreed on for the connection.
struct FrameRules: Sendable {
    let maximumMessage: UInt32
    let role: WebSocketParser.Role
    /// RSV1 on a message's first frame says that it is compressed.
    let inflates: Bool

    /// A message's bytes as they are sent. What doesn't compress grows by a few bytes for each block.
    func limit(isCompressed: Bool) -> UInt64 {
        let limit = UInt64(maximumMessage)
        return isCompressed ? limit + limit >> 8 + 64 : limit
    }
}

/// A frame's way through the parser, and the message it belongs to. Lives in `WebSocketParser.feed`; between two calls it is kept only
/// while something is pending.
struct FrameReader: Sendable {
    private enum Stage: UInt8 {
        case opcode, length, extendedLength, mask, payload, closed
    }

    private let rules: FrameRules
    private var stage = Stage.opcode
    private var opcode = WebSocketOpcode.text
    private var isFinal = true
    private var headerBytesLeft: UInt8 = 0
    private var lengthIsLong = false
    /// Of the message, and so of all of its frames.
    private var isCompressed = false
    /// The opcode of the fragmented message that is being collected.
    private var fragmented: WebSocketOpcode?
    private var validator = UTF8Validator()
    private var key: UInt32 = 0
    private var remaining: UInt64 = 0
    private var keyOffset = 0
    private var message: [UInt8] = []
    private var control: [UInt8] = []

    init(_ rules: FrameRules) {
        self.rules = rules
    }

    var isClosed: Bool { stage == .closed }

    var isPending: Bool { stage != .opcode || fragmented != nil }

    mutating func read(
        _ bytes: UnsafeBufferPointer<UInt8>,
        _ receive: (WebSocketEvent, Span<UInt8>) -> Void
    ) throws(WebSocketFault) {
        var position = 0
        while position < bytes.count {
            let byte = bytes[position]
            switch stage {
            case .opcode:
                try opcodeRead(byte)
                position += 1
            case .length:
                try lengthRead(byte)
                position += 1
            case .extendedLength:
                try extendedLengthRead(byte)
                position += 1
            case .mask:
                key = key << 8 | UInt32(byte)
                headerBytesLeft -= 1
                if headerBytesLeft == 0 { stage = .payload }
                position += 1
            case .payload:
                position = try payloadRead(bytes, from: position, receive)
            case .closed:
                return
            }
            // A frame without payload is complete with its header.
            if stage == .payload, remaining == 0 { try frameEnded(receive) }
        }
    }

    private mutating func opcodeRead(_ byte: UInt8) throws(WebSocketFault) {
        // RSV1 has a meaning on the first frame of a message alone (RFC 7692 section 6).
        guard byte & 0x30 == 0, byte & 0x40 == 0 || rules.inflates else { throw .reservedBits }
        guard let opcode = WebSocketOpcode(rawValue: byte & 0x0F) else { throw .reservedOpcode }
        guard byte & 0x40 == 0 || !opcode.isControl && opcode != .continuation else { throw .reservedBits }
        isFinal = byte & 0x80 != 0
        if opcode.isControl {
            guard isFinal else { throw .fragmentedControl }
        } else {
            guard (opcode == .continuation) == (fragmented != nil) else {
                throw fragmented == nil ? .unexpectedContinuation : .expectedContinuation
            }
        }
        if !opcode.isControl, opcode != .continuation { isCompressed = byte & 0x40 != 0 }
        self.opcode = opcode
        stage = .length
    }

    private mutating func lengthRead(_ byte: UInt8) throws(WebSocketFault) {
        let isMasked = byte & 0x80 != 0
        guard isMasked == (rules.role == .server) else { throw isMasked ? .unexpectedMask : .missingMask }
        let length = byte & 0x7F
        if opcode.isControl, length > 125 { throw .controlTooLong }
        remaining = 0
        switch length {
        case 126:
            lengthIsLong = false
            headerBytesLeft = 2
            stage = .extendedLength
        case 127:
            lengthIsLong = true
            headerBytesLeft = 8
            stage = .extendedLength
        default:
            remaining = UInt64(length)
            try lengthKnown()
        }
    }

    private mutating func extendedLengthRead(_ byte: UInt8) throws(WebSocketFault) {
        if lengthIsLong, headerBytesLeft == 8, byte & 0x80 != 0 { throw .badLength }
        remaining = remaining << 8 | UInt64(byte)
        headerBytesLeft -= 1
        guard headerBytesLeft == 0 else { return }
        guard remaining > (lengthIsLong ? 0xFFFF : 125) else { throw .badLength }
        try lengthKnown()
    }

    private mutating func lengthKnown() throws(WebSocketFault) {
        if !opcode.isControl {
            let collected = UInt64(message.count)
            let limit = rules.limit(isCompressed: isCompressed)
            guard collected <= limit, remaining <= limit - collected else { throw .messageTooBig }
            if opcode != .continuation { validator = UTF8Validator() }
        }
        key = 0
        keyOffset = 0
        headerBytesLeft = 4
        stage = rules.role == .server ? .mask : .payload
    }

    /// Takes what belongs to this frame and returns the position behind it.
    private mutating func payloadRead(
        _ bytes: UnsafeBufferPointer<UInt8>,
        from position: Int,
        _ receive: (WebSocketEvent, Span<UInt8>) -> Void
    ) throws(WebSocketFault) -> Int {
        let taken = Int(min(UInt64(bytes.count - position), remaining))
        let part = UnsafeBufferPointer(rebasing: bytes[position..<position + taken])
        let isWhole = UInt64(taken) == remaining && keyOffset == 0 && (opcode.isControl || isFinal && fragmented == nil)
        if isWhole {
            try wholePayloadRead(part, receive)
        } else {
            try partRead(part)
        }
        return position + taken
    }

    private mutating func wholePayloadRead(
        _ payload: UnsafeBufferPointer<UInt8>,
        _ receive: (WebSocketEvent, Span<UInt8>) -> Void
    ) throws(WebSocketFault) {
        remaining = 0
        stage = .opcode
        guard rules.role == .server else {
            try deliver(payload, opcode, receive)
            return
        }
        // The receive buffer is lent to us for reading only, so unmasking needs a place: small ones fit the stack.
        try withUnsafeTemporaryAllocation(of: UInt8.self, capacity: payload.count) { (copy) throws(WebSocketFault) in
            _ = copy.initialize(fromContentsOf: payload)
            WebSocketMask.apply(key, to: copy, from: 0)
            try deliver(UnsafeBufferPointer(copy), opcode, receive)
        }
    }

    private mutating func partRead(_ part: UnsafeBufferPointer<UInt8>) throws(WebSocketFault) {
        // Taken out for the time being, so that the buffer has one owner and grows in place.
        var buffer = opcode.isControl ? control : message
        if opcode.isControl { control = [] } else { message = [] }
        let start = buffer.count
        append(part, to: &buffer)
        if !opcode.isControl, !isCompressed, (fragmented ?? opcode) == .text {
            let isValid = buffer.withUnsafeBufferPointer { validator.validate(UnsafeBufferPointer(rebasing: $0[start...])) }
            guard isValid else { throw .invalidText }
        }
        if opcode.isControl { control = buffer } else { message = buffer }
        remaining -= UInt64(part.count)
        keyOffset += part.count
    }

    private func append(_ part: UnsafeBufferPointer<UInt8>, to buffer: inout [UInt8]) {
        let start = buffer.count
        buffer.append(contentsOf: part)
        guard rules.role == .server else { return }
        buffer.withUnsafeMutableBufferPointer {
            WebSocketMask.apply(key, to: UnsafeMutableBufferPointer(rebasing: $0[start...]), from: keyOffset)
        }
    }

    /// The end of a frame that was not delivered as a whole: empty, or read in parts.
    private mutating func frameEnded(_ receive: (WebSocketEvent, Span<UInt8>) -> Void) throws(WebSocketFault) {
        stage = .opcode
        if opcode.isControl {
            let payload = control
            control = []
            try payload.withUnsafeBufferPointer { (payload) throws(WebSocketFault) in
                try deliver(payload, opcode, receive)
            }
            return
        }
        let kind = fragmented ?? opcode
        guard isFinal else {
            fragmented = kind
            return
        }
        let payload = message
        message = []
        fragmented = nil
        if isCompressed {
            try payload.withUnsafeBufferPointer { (payload) throws(WebSocketFault) in try deliver(payload, kind, receive) }
            return
        }
        if kind == .text, !validator.isComplete { throw .invalidText }
        receive(kind == .text ? .text : .binary, payload.span)
    }

    private mutating func deliver(
        _ payload: UnsafeBufferPointer<UInt8>,
        _ opcode: WebSocketOpcode,
        _ receive: (WebSocketEvent, Span<UInt8>) -> Void
    ) throws(WebSocketFault) {
        guard opcode.isControl || !isCompressed else {
            isCompressed = false
            let message = try Inflater.message(from: payload, limit: Int(rules.maximumMessage))
            try message.withUnsafeBufferPointer { (message) throws(WebSocketFault) in try deliver(message, opcode, receive) }
            return
        }
        switch opcode {
        case .text:
            guard UTF8Validator.isValid(payload) else { throw .invalidText }
            receive(.text, payload.span)
        case .binary: receive(.binary, payload.span)
        case .ping: receive(.ping, payload.span)
        case .pong: receive(.pong, payload.span)
        case .close:
            let code = try Self.closeCode(payload)
            stage = .closed
            receive(.close(code), UnsafeBufferPointer(rebasing: payload.dropFirst(2)).span)
        case .continuation:
            preconditionFailure("a continuation is never delivered as a whole")
        }
    }

    /// RFC 6455 sections 5.5.1 and 7.4.
    private static func closeCode(_ payload: UnsafeBufferPointer<UInt8>) throws(WebSocketFault) -> WebSocketCloseCode? {
        guard !payload.isEmpty else { return nil }
        guard payload.count >= 2 else { throw .badClose }
        let code = WebSocketCloseCode(rawValue: UInt16(payload[0]) << 8 | UInt16(payload[1]))
        guard code.isValidOnTheWire else { throw .badClose }
        guard UTF8Validator.isValid(UnsafeBufferPointer(rebasing: payload.dropFirst(2))) else { throw .invalidText }
        return code
    }
}
