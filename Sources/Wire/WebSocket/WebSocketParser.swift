// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Bytes of an upgraded connection become messages and control frames (RFC 6455 section 5, RFC 7692), in either role.
/// Owned by a connection, confined like it, and two words small: what is known of a frame or message in pieces lives in a
/// `FrameReader` that exists only as long as something is pending, so an idle connection owns no memory for it. Holds: equal bytes
/// give equal events and faults, however they were split; nothing is delivered behind a close frame or a fault; what is collected, and
/// what is inflated, never exceeds `maximumMessage`.
package struct WebSocketParser: Sendable {
    package enum Role: UInt8, Sendable {
        /// Reads frames from clients: they must be masked.
        case server
        /// Reads frames from servers: they must not be.
        case client
    }

    private let rules: FrameRules
    /// A close frame or a fault came: whatever follows is ignored.
    package private(set) var isClosed = false
    /// None or one; an array, because that is a box which is empty for nothing and changed in place.
    private var pending: [FrameReader] = []

    /// `inflates`: the handshake agreed on permessage-deflate.
    package init(role: Role, maximumMessage: Int, inflates: Bool = false) {
        rules = FrameRules(maximumMessage: UInt32(clamping: maximumMessage), role: role, inflates: inflates)
    }

    /// Nothing of a frame or message is pending, so the connection owns no buffer.
    package var isIdle: Bool { pending.isEmpty && !isClosed }

    /// Takes the parser out of the object that owns it and leaves one that ignores everything, so that the events of `feed` can reach
    /// the owner and the collected bytes still have one owner: `var parser = parser.take(); defer { self.parser = parser }`.
    package mutating func take() -> WebSocketParser {
        let taken = self
        pending = []
        isClosed = true
        return taken
    }

    /// The payload is lent for the call only: whole messages inside the span without keeping them (masked ones through a temporary
    /// of their size). `receive` must not touch this parser (it is being changed).
    package mutating func feed(
        _ bytes: Span<UInt8>,
        _ receive: (WebSocketEvent, Span<UInt8>) -> Void
    ) throws(WebSocketFault) {
        guard !isClosed else { return }
        var reader = pending.popLast() ?? FrameReader(rules)
        do throws(WebSocketFault) {
            try bytes.withUnsafeBufferPointer { (bytes) throws(WebSocketFault) in
                try reader.read(bytes, receive)
            }
        } catch {
            isClosed = true
            pending = []
            throw error
        }
        isClosed = reader.isClosed
        if !isClosed, reader.isPending {
            pending.append(reader)
        } else {
            pending = []
        }
    }
}
