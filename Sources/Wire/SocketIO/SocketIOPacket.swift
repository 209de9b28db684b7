// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// A packet of Socket.IO protocol 5 (Socket.IO 3 and 4): type, namespace, acknowledgement id, JSON. The JSON is left as bytes for a
/// reader that knows what it expects; here only its first byte is held against the type, as Socket.IO's own parser does.
package struct SocketIOPacket: Sendable, Equatable {
    package enum Kind: UInt8, Sendable {
        case connect = 0x30
        case disconnect
        case event
        case acknowledgement
        case connectError
    }

    package static let namespaceLimit = 256
    /// Exact in JavaScript's numbers too.
    package static let ackDigitLimit = 15

    package let kind: Kind
    /// With its slash; nil is the main namespace, `/`.
    package let namespace: Range<Int>?
    package let ackID: Int?
    /// Empty where the packet has none.
    package let json: Range<Int>

    /// `range` is the payload of an Engine.IO `message` packet in `bytes`.
    package init(parsing range: Range<Int>, in bytes: Span<UInt8>) throws(SocketIOFault) {
        let end = range.upperBound
        var position = range.lowerBound
        guard position < end else { throw .emptyPacket }
        guard let kind = Kind(rawValue: bytes[position]) else {
            // 5 and 6 are events and acknowledgements with attachments.
            throw bytes[position] == 0x35 || bytes[position] == 0x36 ? .binaryPacket : .unknownPacket
        }
        position += 1

        var namespace: Range<Int>?
        if position < end, bytes[position] == UInt8(ascii: "/") {
            let start = position
            while position < end, bytes[position] != ASCII.comma { position += 1 }
            guard position - start <= Self.namespaceLimit else { throw .namespaceTooLong }
            namespace = start..<position
            // Nothing behind it needs no comma.
            if position < end { position += 1 }
        }

        let firstDigit = position
        var id = 0
        while position < end, ASCII.isDigit(bytes[position]) {
            guard position - firstDigit < Self.ackDigitLimit else { throw .badAckID }
            id = id * 10 + Int(bytes[position] - 0x30)
            position += 1
        }
        self.kind = kind
        self.namespace = namespace
        ackID = position > firstDigit ? id : nil
        json = position..<end
        guard Self.isForm(of: kind, hasID: ackID != nil, first: position < end ? bytes[position] : nil) else { throw .badPayload }
    }

    private static func isForm(of kind: Kind, hasID: Bool, first: UInt8?) -> Bool {
        switch kind {
        case .connect: !hasID && (first == nil || first == UInt8(ascii: "{"))
        case .disconnect: !hasID && first == nil
        case .event: first == UInt8(ascii: "[")
        case .acknowledgement: hasID && first == UInt8(ascii: "[")
        case .connectError: !hasID && (first == UInt8(ascii: "{") || first == UInt8(ascii: "\""))
        }
    }

    /// nil names the main namespace.
    package func isIn(_ name: StaticString, of bytes: Span<UInt8>) -> Bool {
        guard let namespace else { return name.utf8CodeUnitCount == 1 && name.utf8Start[0] == UInt8(ascii: "/") }
        return bytes.equals(namespace, name)
    }
}
