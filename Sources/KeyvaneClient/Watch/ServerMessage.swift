// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
package import NIOCore
import NIOFoundationCompat

/// A message from the gateway. Unknown types and unknown fields are newer than this client and are left alone.
package enum ServerMessage: Sendable, Equatable {
    package struct Ready: Sendable, Equatable {
        package let connection: WatchConnection
        package let heartbeat: Duration?

        package init(connection: WatchConnection, heartbeat: Duration?) {
            self.connection = connection
            self.heartbeat = heartbeat
        }
    }

    package struct Refusal: Sendable, Equatable, Decodable {
        package let code: String
        package let message: String?
        package let id: Int?
        package let environment: String?

        package init(code: String, message: String?, id: Int?, environment: String?) {
            self.code = code
            self.message = message
            self.id = id
            self.environment = environment
        }
    }

    package struct Closing: Sendable, Equatable, Decodable {
        package let reason: String
        package let reconnectAfterMs: Int?
        package let environment: String?

        package init(reason: String, reconnectAfterMs: Int?, environment: String?) {
            self.reason = reason
            self.reconnectAfterMs = reconnectAfterMs
            self.environment = environment
        }
    }

    case ready(Ready)
    case subscribed(id: Int?, environment: String)
    case snapshot(WatchSnapshot)
    case changes(WatchChanges)
    case heartbeat(heads: [String: WatchCursor])
    case unsubscribed(environment: String)
    case error(Refusal)
    case closing(Closing)
    case unknown(type: String)

    package init(json: ByteBuffer) throws {
        self = try JSONDecoder().decode(ServerMessage.self, from: json)
    }
}

extension ServerMessage: Decodable {
    private enum CodingKeys: String, CodingKey {
        case type, id, environment, heads, heartbeatMs
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        let type = try container.decode(String.self, forKey: .type)
        switch type {
        case "ready":
            let heartbeat = try container.decodeIfPresent(Int.self, forKey: .heartbeatMs)
            self = .ready(Ready(connection: try WatchConnection(from: decoder), heartbeat: heartbeat.map { .milliseconds($0) }))
        case "subscribed":
            self = .subscribed(
                id: try container.decodeIfPresent(Int.self, forKey: .id),
                environment: try container.decode(String.self, forKey: .environment)
            )
        case "snapshot":
            self = .snapshot(try WatchSnapshot(from: decoder))
        case "changes":
            self = .changes(try WatchChanges(from: decoder))
        case "heartbeat":
            self = .heartbeat(heads: try container.decodeIfPresent([String: WatchCursor].self, forKey: .heads) ?? [:])
        case "unsubscribed":
            self = .unsubscribed(environment: try container.decode(String.self, forKey: .environment))
        case "error":
            self = .error(try Refusal(from: decoder))
        case "closing":
            self = .closing(try Closing(from: decoder))
        default:
            self = .unknown(type: type)
        }
    }
}
