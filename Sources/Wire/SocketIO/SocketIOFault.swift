// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Why a packet was refused. Socket.IO's own servers close the connection on any of these.
package enum SocketIOFault: String, Error, Sendable, CaseIterable {
    case emptyPacket = "empty_packet"
    case unknownEnginePacket = "unknown_engine_packet"
    case unknownPacket = "unknown_packet"
    case binaryPacket = "binary_packet"
    case namespaceTooLong = "namespace_too_long"
    case badAckID = "bad_ack_id"
    case badPayload = "bad_payload"

    package var code: String { rawValue }

    package var message: String {
        switch self {
        case .emptyPacket: "an empty packet"
        case .unknownEnginePacket: "an Engine.IO packet starts with a digit from 0 to 6"
        case .unknownPacket: "a Socket.IO packet starts with a digit from 0 to 6"
        case .binaryPacket: "packets with binary attachments are not accepted"
        case .namespaceTooLong: "the namespace is too long"
        case .badAckID: "an acknowledgement id is a number of at most 15 digits"
        case .badPayload: "the payload's form does not belong to this packet"
        }
    }
}
