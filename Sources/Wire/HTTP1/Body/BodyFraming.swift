// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// How a message's end is found (RFC 9112 section 6).
package enum BodyFraming: Sendable, Equatable {
    case none
    case length(UInt64)
    case chunked
    /// Responses only: the body is whatever comes until the connection closes.
    case untilClose
}

package enum BodyProgress: Sendable, Equatable {
    /// Every byte given belongs to this message, and more are to come.
    case needsMore
    /// The message ended after this many of the bytes given; what is behind them is the next message.
    case complete(consumed: Int)
}
