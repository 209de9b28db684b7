// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// What came in; the payload is handed beside it (of a close frame: the reason's text, valid UTF-8).
package enum WebSocketEvent: Sendable, Equatable {
    /// Valid UTF-8.
    case text
    case binary
    case ping
    case pong
    /// nil: the peer gave no code (reported as 1005 where a number is needed).
    case close(WebSocketCloseCode?)
}

package enum WebSocketOpcode: UInt8, Sendable {
    case continuation = 0x0
    case text = 0x1
    case binary = 0x2
    case close = 0x8
    case ping = 0x9
    case pong = 0xA

    package var isControl: Bool { rawValue & 0x8 != 0 }
}
