// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Bytes of an upgraded connection become messages and control frames (RFC 6455 section 5), in either role.
/// Owned by a connection, confined like it. Whole messages inside one span are lent to the receiver without keeping them
/// (masked ones through a temporary of their size); only a message in pieces is collected, and its buffer goes with it:
/// between messages the parser owns no memory. Holds: equal bytes give equal events and faults, however they were split;
/// nothing is delivered behind a close frame or a fault; collected bytes never exceed `maximumMessage`.
package struct WebSocketParser: Sendable {
    package enum Role: UInt8, Sendable {
        /// Reads frames from clients: they must be masked.
        case server
        /// Reads frames from servers: they must not be.
        case client
    }

    private enum Stage: UInt8 {
        case opcode, length, extendedLength, mask, payload, closed
    }

    private let role: Role
    private let maximumMessage: Int
    private var stage = Stage.opcode
    private var opcode = WebSocketOpcode.text
    private var isFinal = true
    private var headerBytesLeft = 0
    private var lengthIsLong = false
    private var remaining: UInt64 = 0
    private var key: UInt32 = 0
    private var keyOffset = 0
    /// The opcode of the fragmented message that is being collected.
    private var fragmented: WebSocketOpcode?
    private var message: [UInt8] = []
    private var control: [UInt8] = []
    private var validator = UTF8Validator()

    package init(role: Role, maximumMessage: Int) {
        self.role = role
        self.maximumMessage = maximumMessage
    }

    /// A close frame or a fault came: whatever follows is ignored.
    package var isClosed: Bool { stage == .closed }

    /// Nothing of a frame or message is pending, so the connection owns no buffer.
    package var isIdle: Bool { stage == .opcode && fragmented == nil }

    /// The payload is lent for the call only. `receive` must not touch this parser (it is being changed).
    package mutating func feed(
        _ bytes: Span<UInt8>,
        _ receive: (WebSocketEvent, Span<UInt8>) -> Void
    ) throws(WebSocketFault) {
        do throws(WebSocketFault) {
            try bytes.withUnsafeBufferPointer { (bytes) throws(WebSocketFault) in
                try scan(bytes, receive)
            }
        } catch {
            close()
            throw error
        }
    }

    private mutating func close() {
        stage = .closed
        message = []
        control = []
    }

    private mutating func scan(
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
        guard byte & 0x70 == 0 else { throw .reservedBits }
        guard let opcode = WebSocketOpcode(rawValue: byte & 0x0F) else { throw .reservedOpcode }
        isFinal = byte & 0x80 != 0
        if opcode.isControl {
            guard isFinal else { throw .fragmentedControl }
        } else {
            guard (opcode == .continuation) == (fragmented != nil) else {
                throw fragmented == nil ? .unexpectedContinuation : .expectedContinuation
            }
        }
        self.opcode = opcode
        stage = .length
    }

    private mutating func lengthRead(_ byte: UInt8) throws(WebSocketFault) {
        let isMasked = byte & 0x80 != 0
        guard isMasked == (role == .server) else { throw isMasked ? .unexpectedMask : .missingMask }
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
            guard remaining <= UInt64(max(0, maximumMessage - message.count)) else { throw .messageTooBig }
            if opcode != .continuation { validator = UTF8Validator() }
        }
        key = 0
        keyOffset = 0
        headerBytesLeft = 4
        stage = role == .server ? .mask : .payload
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
        guard role == .server else {
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
        if !opcode.isControl, (fragmented ?? opcode) == .text {
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
        guard role == .server else { return }
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
        if kind == .text, !validator.isComplete { throw .invalidText }
        let payload = message
        message = []
        fragmented = nil
        receive(kind == .text ? .text : .binary, payload.span)
    }

    private mutating func deliver(
        _ payload: UnsafeBufferPointer<UInt8>,
        _ opcode: WebSocketOpcode,
        _ receive: (WebSocketEvent, Span<UInt8>) -> Void
    ) throws(WebSocketFault) {
        switch opcode {
        case .text:
            guard UTF8Validator.isValid(payload) else { throw .invalidText }
            receive(.text, payload.span)
        case .binary: receive(.binary, payload.span)
        case .ping: receive(.ping, payload.span)
        case .pong: receive(.pong, payload.span)
        case .close:
            let code = try Self.closeCode(payload)
            close()
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
