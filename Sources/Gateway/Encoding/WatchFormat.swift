// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// How messages reach a socket. Watchers of one format share their frames, those of another get the same messages in other bytes.
package enum WatchFormat: UInt8, Hashable, Sendable {
    /// JSON in WebSocket text frames.
    case webSocket
    /// The same, where frames of an environment are compressed (RFC 7692).
    case deflated
    /// Server-Sent Events: the name is the message's type, the id its cursor.
    case events
    /// Socket.IO packets of keyshade's namespace, in WebSocket text frames.
    case socketIO
}
