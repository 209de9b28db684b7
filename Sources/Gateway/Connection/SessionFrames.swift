// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Store
import Wire

/// The messages of one connection, as the bytes of its format. Those of an environment are `FrameEncoder`'s.
package struct SessionFrames {
    let format: WatchFormat

    package init(_ format: WatchFormat) {
        self.format = format
    }

    package func ready(connection: String, gateway: String, heartbeat: Duration) -> [UInt8] {
        message("ready") { out in
            out.append(#","connection":"#)
            JSONText.append(quoted: connection, to: &out)
            out.append(#","gateway":"#)
            JSONText.append(quoted: gateway, to: &out)
            out.append(#","heartbeatMs":"#)
            out.append(decimal: heartbeat.components.seconds * 1000 + heartbeat.components.attoseconds / 1_000_000_000_000_000)
        }
    }

    package func subscribed(id: MessageID?, environment: WatchedEnvironment) -> [UInt8] {
        message("subscribed") { out in
            append(id, to: &out)
            out.append(#","environment":"#)
            JSONText.append(quoted: environment.text, to: &out)
            out.append(#","environmentId":"#)
            JSONText.append(quoted: environment.id, to: &out)
        }
    }

    package func heartbeat(_ heads: [(environment: String, cursor: Cursor)]) -> [UInt8] {
        // Events are of one environment: the next connection goes on behind what nobody could see, too.
        message("heartbeat", id: heads.first?.cursor) { out in
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

    package func unsubscribed(environment: String) -> [UInt8] {
        message("unsubscribed") { out in
            out.append(#","environment":"#)
            JSONText.append(quoted: environment, to: &out)
        }
    }

    package func error(code: String, message text: String, id: MessageID? = nil, environment: String? = nil) -> [UInt8] {
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

    package func closing(_ reason: String, reconnectAfter milliseconds: Int? = nil, environment: String? = nil) -> [UInt8] {
        message("closing", retry: milliseconds) { out in
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

    private func append(_ id: MessageID?, to out: inout [UInt8]) {
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

    private func message(
        _ type: StaticString,
        id: Cursor? = nil,
        retry: Int? = nil,
        _ fields: (inout [UInt8]) -> Void
    ) -> [UInt8] {
        var payload: [UInt8] = []
        payload.append(#"{"type":""#)
        payload.append(type)
        payload.append(0x22)
        fields(&payload)
        payload.append(0x7D)
        var out: [UInt8] = []
        switch format {
        case .webSocket, .deflated, .socketIO:
            WebSocketFrame.append(.text, payload, to: &out)
        case .events:
            ServerSentEvent.append(event: "\(type)", data: payload.span, id: id?.description, retry: retry, to: &out)
        }
        return out
    }
}
