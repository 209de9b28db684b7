// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Engine.IO protocol 4 over a WebSocket: one packet is one text message, a digit and what belongs to it. Socket.IO's packets travel in
/// its `message` packets; pings come from the server. Stateless; all ranges are offsets into the span that was parsed.
package struct EngineIOPacket: Sendable, Equatable {
    package enum Kind: UInt8, Sendable, CaseIterable {
        case open = 0x30
        case close
        case ping
        case pong
        case message
        case upgrade
        case noop
    }

    package let kind: Kind
    package let payload: Range<Int>

    package init(parsing bytes: Span<UInt8>) throws(SocketIOFault) {
        guard bytes.count > 0 else { throw .emptyPacket }
        guard let kind = Kind(rawValue: bytes[0]) else { throw .unknownEnginePacket }
        self.kind = kind
        payload = 1..<bytes.count
    }
}
