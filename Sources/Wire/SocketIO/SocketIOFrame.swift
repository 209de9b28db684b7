// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Packets on their way out, each as one WebSocket text frame. Namespaces are written with their slash, and `/` not at all.
/// Clients pass a mask, as for every frame. `json` is written as it stands.
package enum SocketIOFrame {
    /// The first packet of a connection; intervals are in milliseconds.
    package static func appendOpen(
        sid: String,
        pingInterval: Int,
        pingTimeout: Int,
        maxPayload: Int,
        to out: inout [UInt8]
    ) {
        var text: [UInt8] = []
        text.append("0{\"sid\":")
        JSONText.append(quoted: sid, to: &text)
        text.append(",\"upgrades\":[],\"pingInterval\":")
        text.append(decimal: pingInterval)
        text.append(",\"pingTimeout\":")
        text.append(decimal: pingTimeout)
        text.append(",\"maxPayload\":")
        text.append(decimal: maxPayload)
        text.append(UInt8(ascii: "}"))
        WebSocketFrame.append(.text, text, to: &out)
    }

    /// One of Engine.IO's own packets: a ping, its pong with the same payload, a close.
    package static func append(_ kind: EngineIOPacket.Kind, payload: [UInt8] = [], mask: UInt32? = nil, to out: inout [UInt8]) {
        WebSocketFrame.append(.text, [kind.rawValue] + payload, mask: mask, to: &out)
    }

    /// The server's yes to a `connect`: the namespace has a session of its own name.
    package static func appendConnected(namespace: String, sid: String, to out: inout [UInt8]) {
        var json = [UInt8]("{\"sid\":".utf8)
        JSONText.append(quoted: sid, to: &json)
        json.append(UInt8(ascii: "}"))
        append(.connect, namespace: namespace, json: json, to: &out)
    }

    package static func appendConnectError(namespace: String, message: String, to out: inout [UInt8]) {
        var json = [UInt8]("{\"message\":".utf8)
        JSONText.append(quoted: message, to: &json)
        json.append(UInt8(ascii: "}"))
        append(.connectError, namespace: namespace, json: json, to: &out)
    }

    /// `argument` is one JSON text; keyshade's events have one each.
    package static func appendEvent(
        _ name: String,
        _ argument: [UInt8],
        namespace: String,
        ackID: Int? = nil,
        mask: UInt32? = nil,
        to out: inout [UInt8]
    ) {
        var json: [UInt8] = [UInt8(ascii: "[")]
        JSONText.append(quoted: name, to: &json)
        json.append(ASCII.comma)
        json += argument
        json.append(UInt8(ascii: "]"))
        append(.event, namespace: namespace, ackID: ackID, json: json, mask: mask, to: &out)
    }

    /// The answer to an event that came with an id.
    package static func appendAcknowledgement(_ id: Int, _ argument: [UInt8], namespace: String, to out: inout [UInt8]) {
        append(.acknowledgement, namespace: namespace, ackID: id, json: [UInt8(ascii: "[")] + argument + [UInt8(ascii: "]")], to: &out)
    }

    /// Any packet; the others are made of it.
    package static func append(
        _ kind: SocketIOPacket.Kind,
        namespace: String,
        ackID: Int? = nil,
        json: [UInt8] = [],
        mask: UInt32? = nil,
        to out: inout [UInt8]
    ) {
        var text: [UInt8] = []
        text.reserveCapacity(json.count + namespace.utf8.count + 24)
        text.append(EngineIOPacket.Kind.message.rawValue)
        text.append(kind.rawValue)
        if namespace != "/" {
            text.append(namespace)
            text.append(ASCII.comma)
        }
        if let ackID { text.append(decimal: ackID) }
        text += json
        WebSocketFrame.append(.text, text, mask: mask, to: &out)
    }
}
