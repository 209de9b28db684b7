// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Store
import Wire

/// The messages of one connection, as WebSocket frames. Those of an environment are `FrameEncoder`'s.
package enum SessionFrames {
    package static func ready(connection: String, gateway: String, heartbeat: Duration) -> [UInt8] {
        message("ready") { out in
            out.append(#","connection":"#)
            JSONText.append(quoted: connection, to: &out)
            out.append(#","gateway":"#)
            JSONText.append(quoted: gateway, to: &out)
            out.append(#","heartbeatMs":"#)
            out.append(decimal: heartbeat.components.seconds * 1000 + heartbeat.components.attoseconds / 1_000_000_000_000_000)
        }
    }

    package static func subscribed(id: MessageID?, environment: WatchedEnvironment) -> [UInt8] {
        message("subscribed") { out in
            append(id, to: &out)
            out.append(#","environment":"#)
            JSONText.append(quoted: environment.text, to: &out)
            out.append(#","environmentId":"#)
            JSONText.append(quoted: environment.id, to: &out)
        }
    }

    package static func heartbeat(_ heads: [(environment: String, cursor: Cursor)]) -> [UInt8] {
        message("heartbeat") { out in
            out.append(#","heads":{"#)
            for (index, head) in heads.enumerated() {
                if index > 0 { out.append(0x2C) }
                JSONText.append(quoted: head.environment, to: &out)
                out.append(#":""#)
                out.append(head.cursor.description)
                out.append(0x22)
            }
            out.append(0x7D)
        }
    }

    package static func unsubscribed(environment: String) -> [UInt8] {
        message("unsubscribed") { out in
            out.append(#","environment":"#)
            JSONText.append(quoted: environment, to: &out)
        }
    }

    package static func error(code: String, message text: String, id: MessageID? = nil, environment: String? = nil) -> [UInt8] {
        message("error") { out in
            out.append(#","code":"#)
            JSONText.append(quoted: code, to: &out)
            out.append(#","message":"#)
            JSONText.append(quoted: text, to: &out)
            append(id, to: &out)
            if let environment {
                out.append(#","environment":"#)
                JSONText.append(quoted: environment, to: &out)
            }
        }
    }

    package static func closing(_ reason: String, reconnectAfter milliseconds: Int? = nil, environment: String? = nil) -> [UInt8] {
        message("closing") { out in
            out.append(#","reason":"#)
            JSONText.append(quoted: reason, to: &out)
            if let milliseconds {
                out.append(#","reconnectAfterMs":"#)
                out.append(decimal: milliseconds)
            }
            if let environment {
                out.append(#","environment":"#)
                JSONText.append(quoted: environment, to: &out)
            }
        }
    }

    private static func append(_ id: MessageID?, to out: inout [UInt8]) {
        switch id {
        case nil:
            break
        case .number(let number):
            out.append(#","id":"#)
            out.append(decimal: number)
        case .text(let text):
            out.append(#","id":"#)
            JSONText.append(quoted: text, to: &out)
        }
    }

    private static func message(_ type: StaticString, _ fields: (inout [UInt8]) -> Void) -> [UInt8] {
        var payload: [UInt8] = []
        payload.append(#"{"type":""#)
        payload.append(type)
        payload.append(0x22)
        fields(&payload)
        payload.append(0x7D)
        var frame: [UInt8] = []
        WebSocketFrame.append(.text, payload, to: &frame)
        return frame
    }
}
