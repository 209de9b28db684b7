// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Gateway
import TestSupport

/// A keyshade client as far as the wire goes: Socket.IO packets as texts over a WebSocket.
struct SocketIOClient: Sendable {
    static let target = "/socket.io/?EIO=4&transport=websocket"

    let client: WebSocketClient

    init(
        to gateway: GatewayFixture,
        token: String? = GatewayFixture.rootToken,
        configure: @escaping @Sendable (WebSocketClientConnection) -> Void = { _ in }
    ) async throws {
        client = try await WebSocketClient.connect(
            port: gateway.port,
            Self.target,
            fields: token.map { [(name: "x-keyshade-token", value: $0)] } ?? [],
            on: gateway.clients,
            configure: configure
        )
    }

    /// Connected to the namespace and registered for `acme/web/production`, or whatever is named.
    static func registered(
        to gateway: GatewayFixture,
        token: String = GatewayFixture.rootToken,
        environment: String = "production",
        configure: @escaping @Sendable (WebSocketClientConnection) -> Void = { _ in }
    ) async throws -> SocketIOClient {
        let client = try await SocketIOClient(to: gateway, token: token, configure: configure)
        client.client.send("40/change-notifier,")
        client.register(environment)
        try await client.client.until("a registration") { $0.contains(Self.success) }
        return client
    }

    func register(_ environment: String, ackID: String = "") {
        let slugs = #"{"workspaceSlug":"acme","projectSlug":"web","environmentSlug":"\#(environment)"}"#
        client.send(#"42/change-notifier,\#(ackID)["register-client-app",\#(slugs)]"#)
    }

    static let success = #"42/change-notifier,["client-registered",{"success":true,"message":"Registration Successful"}]"#

    static func update(_ name: String, _ value: String) -> String {
        #"42/change-notifier,["configuration-updated",{"name":"\#(name)","value":"\#(value)","isPlaintext":true}]"#
    }

    /// The `configuration-updated` events so far.
    var updates: [String] {
        client.messages.filter { $0.hasPrefix(#"42/change-notifier,["configuration-updated""#) }
    }

    func until(_ what: String, _ condition: @escaping @Sendable ([String]) -> Bool) async throws {
        try await client.until(what, condition)
    }

    func untilUpdated(_ name: String, _ value: String) async throws {
        let wanted = Self.update(name, value)
        try await client.until("\(name)=\(value)") { $0.contains(wanted) }
    }

    func failure() async throws -> String {
        let start = #"42/change-notifier,["client-registered",{"success":false"#
        let all = try await client.until("a refusal") { $0.contains { $0.hasPrefix(start) } }
        return all.first { $0.hasPrefix(start) } ?? ""
    }
}
