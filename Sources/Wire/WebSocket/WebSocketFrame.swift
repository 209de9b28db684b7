// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Frames on their way out, appended to the caller's buffer. Servers pass no mask; clients pass four fresh random bytes a frame
/// (RFC 6455 section 5.3), the most significant one first on the wire.
package enum WebSocketFrame {
    /// The header's size without a mask, for those who write the payload in place behind it.
    package static func headerLength(payload: Int) -> Int {
        payload < 126 ? 2 : payload <= 0xFFFF ? 4 : 10
    }

    /// `isCompressed` (RSV1) belongs on the first frame of a message that a `Deflater` made, on a connection that agreed to it.
    package static func appendHeader(
        _ opcode: WebSocketOpcode,
        payload length: Int,
        isFinal: Bool = true,
        isCompressed: Bool = false,
        mask: UInt32? = nil,
        to out: inout [UInt8]
    ) {
        let maskBit: UInt8 = mask == nil ? 0 : 0x80
        out.append((isFinal ? 0x80 : 0) | (isCompressed ? 0x40 : 0) | opcode.rawValue)
        switch length {
        case ..<126:
            out.append(maskBit | UInt8(truncatingIfNeeded: length))
        case ..<0x1_0000:
            out.append(maskBit | 126)
            appendBigEndian(UInt16(truncatingIfNeeded: length), to: &out)
        default:
            out.append(maskBit | 127)
            appendBigEndian(UInt64(length), to: &out)
        }
        if let mask { appendBigEndian(mask, to: &out) }
    }

    package static func append(
        _ opcode: WebSocketOpcode,
        _ payload: Span<UInt8>,
        isFinal: Bool = true,
        isCompressed: Bool = false,
        mask: UInt32? = nil,
        to out: inout [UInt8]
    ) {
        out.reserveCapacity(out.count + payload.count + 14)
        appendHeader(opcode, payload: payload.count, isFinal: isFinal, isCompressed: isCompressed, mask: mask, to: &out)
        let start = out.count
        out.append(payload)
        guard let mask else { return }
        out.withUnsafeMutableBufferPointer {
            WebSocketMask.apply(mask, to: UnsafeMutableBufferPointer(rebasing: $0[start...]), from: 0)
        }
    }

    package static func append(
        _ opcode: WebSocketOpcode,
        _ payload: [UInt8],
        isFinal: Bool = true,
        isCompressed: Bool = false,
        mask: UInt32? = nil,
        to out: inout [UInt8]
    ) {
        append(opcode, payload.span, isFinal: isFinal, isCompressed: isCompressed, mask: mask, to: &out)
    }

    package static func append(text: String, mask: UInt32? = nil, to out: inout [UInt8]) {
        append(.text, [UInt8](text.utf8), mask: mask, to: &out)
    }

    /// Without a code the payload is empty. A reason is cut to the 123 bytes a control frame has room for, between characters.
    package static func appendClose(
        _ code: WebSocketCloseCode?,
        reason: String = "",
        mask: UInt32? = nil,
        to out: inout [UInt8]
    ) {
        var payload: [UInt8] = []
        if let code {
            appendBigEndian(code.rawValue, to: &payload)
            for scalar in reason.unicodeScalars {
                let bytes = UTF8.encode(scalar).map { Array($0) } ?? []
                guard payload.count + bytes.count <= 125 else { break }
                payload.append(contentsOf: bytes)
            }
        }
        append(.close, payload, mask: mask, to: &out)
    }

    private static func appendBigEndian(_ value: some FixedWidthInteger, to out: inout [UInt8]) {
        withUnsafeBytes(of: value.bigEndian) { out.append(contentsOf: $0) }
    }
}
