// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Wire

/// `GET /socket.io/`, read from its head and checked as far as that is possible without asking anybody.
struct SocketIORequest: Equatable {
    static let path = "/socket.io/"

    /// Looked at when the client registers.
    let token: String?
    private let accept: String

    /// Engine.IO's own refusals, which its clients show to people.
    private enum EngineError: Int {
        case unknownTransport = 0
        case badRequest = 3
        case unsupportedVersion = 5

        func refusal(_ message: String) -> HTTPRefusal {
            HTTPRefusal(status: 400, code: "bad_request", detail: message, engineCode: rawValue)
        }
    }

    init(_ head: RequestHead, in bytes: Span<UInt8>, origins: OriginRule) throws(HTTPRefusal) {
        guard QueryParameters.first("transport", of: head.query, in: bytes) == "websocket" else {
            throw EngineError.unknownTransport.refusal(
                "This server speaks the transport 'websocket' alone: set transports to [\"websocket\"]."
            )
        }
        guard QueryParameters.first("EIO", of: head.query, in: bytes) == "4" else {
            throw EngineError.unsupportedVersion.refusal("This server speaks Engine.IO 4, which is that of Socket.IO 3 and 4.")
        }
        guard QueryParameters.first("sid", of: head.query, in: bytes) == nil else {
            throw EngineError.badRequest.refusal("There is no session to upgrade: connect with the transport 'websocket' from the start.")
        }
        do throws(HTTPFault) {
            accept = try WebSocketHandshake.check(head, in: bytes).accept
        } catch {
            throw HTTPRefusal(fault: error)
        }
        guard origins.allows(head.fields.string(.origin, in: bytes), host: head.fields.string(.host, in: bytes)) else {
            throw .originNotAllowed
        }
        token = head.fields.string(.xKeyshadeToken, in: bytes)
    }

    /// The head of the answer that begins the session.
    func answer(to identity: HandshakeIdentity) -> [UInt8] {
        WebSocketHandshake.response(accept: accept, extraFields: [identity.field])
    }
}
