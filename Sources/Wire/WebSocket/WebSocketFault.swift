// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Why a connection must be failed; `closeCode` is what to tell the peer.
package enum WebSocketFault: String, Error, Sendable, CaseIterable {
    case reservedBits = "reserved_bits"
    case reservedOpcode = "reserved_opcode"
    case fragmentedControl = "fragmented_control_frame"
    case controlTooLong = "control_frame_too_long"
    case unexpectedContinuation = "unexpected_continuation"
    case expectedContinuation = "expected_continuation"
    case missingMask = "missing_mask"
    case unexpectedMask = "unexpected_mask"
    case badLength = "bad_length"
    case badClose = "bad_close_frame"
    case invalidText = "invalid_utf8"
    case badDeflate = "bad_deflate_data"
    case messageTooBig = "message_too_big"

    package var code: String { rawValue }

    package var closeCode: WebSocketCloseCode {
        switch self {
        // RFC 7692 names no code for data that doesn't inflate; of RFC 6455's, 1007 (inconsistent with the message's type) says it best.
        case .invalidText, .badDeflate: .invalidPayload
        case .messageTooBig: .messageTooBig
        default: .protocolError
        }
    }

    /// Short enough for a close frame's reason.
    package var message: String {
        switch self {
        case .reservedBits: "a reserved bit is set that no agreed extension gives a meaning here"
        case .reservedOpcode: "unknown opcode"
        case .fragmentedControl: "a control frame may not be fragmented"
        case .controlTooLong: "a control frame carries at most 125 bytes"
        case .unexpectedContinuation: "a continuation without a message"
        case .expectedContinuation: "a new message before the last one ended"
        case .missingMask: "frames from clients must be masked"
        case .unexpectedMask: "frames from servers must not be masked"
        case .badLength: "the frame length is not encoded as RFC 6455 asks"
        case .badClose: "the close frame is malformed"
        case .invalidText: "text that is not UTF-8"
        case .badDeflate: "the compressed message does not inflate"
        case .messageTooBig: "the message is too big"
        }
    }
}
