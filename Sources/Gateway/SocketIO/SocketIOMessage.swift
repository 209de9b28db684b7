// Keyvane
// SPDX-License-Identifier: Apache-2.0

// keyshade's own clients: Engine.IO 4 and Socket.IO 5 packets over a WebSocket, and keyshade's events in one namespace.
// Flows through: packets of clients as messages into a state machine, its actions out to the feeds and the socket's outlet; what the feed
//   publishes comes as packets already, encoded once for all of these sockets.
// Owner: each connection belongs to the loop that accepted it, and stands in its table beside the other watches.
// Must hold: the token of the upgrade is asked for when a client registers, never before; a socket has one registration at a time;
//   a refused registration is an event, not the end of the socket.

package import Store
package import Wire

/// What a client of keyshade says, read and checked.
package enum SocketIOMessage: Hashable, Sendable {
    case ping([UInt8])
    case pong
    case close
    case connect(namespace: String)
    case disconnect(namespace: String)
    case register(EnvironmentPath, ackID: Int?)
    /// keyshade's event with something in it that names no environment.
    case misregister(reason: String, ackID: Int?)
    /// An event or an acknowledgement that says nothing to us.
    case other(namespace: String)
    /// Engine.IO's own, of no meaning where a connection begins as a WebSocket.
    case nothing

    package static let namespace = "/change-notifier"
    private static let event = "register-client-app"

    package init(parsing bytes: Span<UInt8>) throws(SocketIOFault) {
        let outer = try EngineIOPacket(parsing: bytes)
        switch outer.kind {
        case .open: throw .unknownEnginePacket
        case .close: self = .close
        case .ping: self = .ping(bytes.array(outer.payload))
        case .pong: self = .pong
        case .message: self = try Self.message(try SocketIOPacket(parsing: outer.payload, in: bytes), bytes)
        case .upgrade, .noop: self = .nothing
        }
    }

    private static func message(_ packet: SocketIOPacket, _ bytes: Span<UInt8>) throws(SocketIOFault) -> SocketIOMessage {
        let namespace = packet.namespace.map { bytes.string($0) } ?? "/"
        switch packet.kind {
        case .connect: return .connect(namespace: namespace)
        case .disconnect: return .disconnect(namespace: namespace)
        case .acknowledgement: return .other(namespace: namespace)
        // Only servers refuse.
        case .connectError: throw .unknownPacket
        case .event: break
        }
        guard case .array(let elements)? = JSONValue(parsing: bytes.extracting(packet.json)), case .string(let name)? = elements.first
        else {
            throw .badPayload
        }
        guard name == event, namespace == self.namespace else { return .other(namespace: namespace) }
        return registration(elements.dropFirst().first, packet.ackID)
    }

    private static func registration(_ argument: JSONValue?, _ ackID: Int?) -> SocketIOMessage {
        guard case .object(let members)? = argument, case .string(let workspace)? = members["workspaceSlug"],
            case .string(let project)? = members["projectSlug"], case .string(let environment)? = members["environmentSlug"]
        else {
            return .misregister(reason: "Send workspaceSlug, projectSlug and environmentSlug.", ackID: ackID)
        }
        do throws(StoreError) {
            return .register(try EnvironmentPath(workspace: workspace, project: project, environment: environment), ackID: ackID)
        } catch {
            return .misregister(reason: error.message, ackID: ackID)
        }
    }
}
