// Keyvane
// SPDX-License-Identifier: Apache-2.0

// What RFC 6455 and RFC 7692 ask of a server, as bytes in and what must come back.
// Flows through: a table of rules, and a runner that holds an endpoint to one of them over a socket of its own.
// Owner: the tests of the gateway, and those that put something in between.
// Must hold: a rule names nothing of the endpoint but two messages, one that it answers and one that it doesn't take.

import Wire

/// Bytes that a client sends behind its upgrade, and what a server must make of them.
package struct WebSocketRule: Sendable {
    package enum Reply: Hashable, Sendable {
        /// To `message`, in any of its forms.
        case answer
        case pong([UInt8])
    }

    package enum Ending: Hashable, Sendable {
        /// The connection goes on: it answers a ping, and closes when it is asked to.
        case open
        /// A close frame with one of these codes (nil: with none), and the end of the stream.
        case closed([UInt16?])

        static func closed(_ code: UInt16) -> Ending { .closed([code]) }
    }

    package let name: String
    /// Of RFC 6455, or of RFC 7692 where it says so.
    package let section: String
    /// On a connection that agreed on permessage-deflate.
    package let isDeflated: Bool
    /// Of the watch endpoint alone: an echo takes binary messages, and larger ones.
    package let isOfWatch: Bool
    package let bytes: [UInt8]
    package let replies: [Reply]
    package let ending: Ending

    init(
        _ name: String,
        _ section: String,
        isDeflated: Bool = false,
        isOfWatch: Bool = false,
        _ bytes: [UInt8],
        _ replies: [Reply] = [],
        _ ending: Ending = .open
    ) {
        self.name = name
        self.section = section
        self.isDeflated = isDeflated
        self.isOfWatch = isOfWatch
        self.bytes = bytes
        self.replies = replies
        self.ending = ending
    }

    package static let all: [WebSocketRule] = framing + fragments + control + closing + text + limits + compression

    /// Understood by a watch, and answered with an error because nothing of that name is watched.
    package static let message = #"{"type":"unsubscribe","environment":"no/such/place"}"#

    /// `message` with blanks behind it, which JSON allows.
    static func message(of length: Int) -> [UInt8] {
        let text = [UInt8](message.utf8)
        precondition(length >= text.count)
        return text + [UInt8](repeating: 0x20, count: length - text.count)
    }

    static let key: UInt32 = 0x37FA_213D

    /// One frame of a client with exactly this first byte, right or wrong.
    static func frame(_ first: UInt8, _ payload: [UInt8] = [], key: UInt32 = key) -> [UInt8] {
        var bytes: [UInt8] = []
        WebSocketFrame.append(.text, payload, mask: key, to: &bytes)
        bytes[0] = first
        return bytes
    }

    static func frame(_ first: UInt8, _ text: String) -> [UInt8] {
        frame(first, [UInt8](text.utf8))
    }

    /// A frame's start with a length of a form of its own, its mask all zeros.
    static func header(_ first: UInt8, _ length: [UInt8]) -> [UInt8] {
        [first] + length + [0, 0, 0, 0]
    }
}
