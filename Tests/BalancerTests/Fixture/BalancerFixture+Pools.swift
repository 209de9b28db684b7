// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Reactor
import TestSupport

/// Words that tests of pools share.
extension BalancerFixture {
    static let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    static let upgrade =
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

    static func get(_ path: String = "/", cookie: String? = nil, fields: String = "") -> String {
        "GET \(path) HTTP/1.1\r\nHost: a\r\n" + (cookie.map { "Cookie: \($0)\r\n" } ?? "") + fields + "\r\n"
    }

    /// Requests by name, upgrades as tunnels, `/hang` never.
    @Sendable static func byName(_ name: String, _ request: BackendRequest) -> BackendAction {
        if !request.values("upgrade").isEmpty { return .tunnel() }
        return request.target == "/hang" ? .silence : .ok(name)
    }

    /// No limit that a busy machine reaches by itself: a test sets those that it is about.
    @Sendable static func patient(_ configuration: inout BalancerConfiguration) {
        configuration.limits.headerTimeout = .seconds(60)
        configuration.limits.connect = .seconds(30)
        configuration.limits.bodyGrace = .seconds(60)
        configuration.limits.queueTimeout = .seconds(60)
        for index in configuration.pools.indices { configuration.pools[index].health.timeout = .seconds(30) }
    }

    /// Checks come often, and who is back has its whole share at once.
    @Sendable static func quick(_ configuration: inout BalancerConfiguration) {
        for index in configuration.pools.indices {
            configuration.pools[index].health.interval = .milliseconds(50)
            configuration.pools[index].slowStart = .zero
        }
    }

    /// How many of these requests each server answered; failures count by their status.
    func answers(_ count: Int, to request: String = BalancerFixture.get) async throws -> [String: Int] {
        let client = try await client()
        defer { client.close() }
        var seen: [String: Int] = [:]
        for _ in 0..<count {
            let answer = try await client.request(request)
            seen[answer.status == 200 ? answer.text : "\(answer.status)", default: 0] += 1
        }
        return seen
    }

    func server(_ name: String) async throws -> ServerStatus {
        for pool in try await service.status() {
            if let server = pool.servers.first(where: { $0.name == name }) { return server }
        }
        throw DeadlinePassed("there is no server \(name)")
    }

    func until(_ name: String, _ what: String, _ condition: @escaping @Sendable (ServerStatus) -> Bool) async throws {
        _ = try await eventually("\(name): \(what)") { condition(try await server(name)) ? true : nil }
    }

    /// Loops hear of it a moment later.
    func state(_ state: AdministrativeState, _ name: String, pool: String = "web") async throws {
        try await service.perform(.state(state), pool: pool, server: name)
    }

    /// The server's tunnels stay as they are for longer than any pace here would let them. How many they are.
    func untilTunnelsStay(_ name: String) async throws -> Int {
        try await untilItStays("the tunnels of \(name)") { try await server(name).tunnels }
    }

    /// A value that is the same some seconds later. A loop that is told something learns of it a moment after us.
    func untilItStays<Value: Equatable & Sendable>(
        _ what: String,
        _ read: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        try await eventually("\(what) to stay") {
            let before = try await read()
            try await waitAtLeast(milliseconds: 2500)
            return try await read() == before ? before : nil
        }
    }

    /// A client with a tunnel, to whichever server has its turn, or to the one that a cookie names.
    func tunnel(cookie: String? = nil) async throws -> TestClient {
        let client = try await client()
        let upgrade = cookie.map { Self.upgrade.replacing("\r\n\r\n", with: "\r\nCookie: \($0)\r\n\r\n") } ?? Self.upgrade
        let answer = try await client.request(upgrade)
        guard answer.status == 101 else { throw DeadlinePassed("a tunnel, not \(answer.status)") }
        return client
    }

    /// The cookie of a client that is pinned to this server.
    func pin(to name: String, cookie: String = "KEYVANE_WEB") async throws -> String {
        let client = try await client()
        defer { client.close() }
        for _ in 0..<200 {
            let answer = try await client.request(Self.get)
            if answer.text == name, let token = answer.cookie(cookie) { return "\(cookie)=\(token)" }
        }
        throw DeadlinePassed("a pin to \(name)")
    }
}

extension TestClient {
    /// Both directions of a tunnel.
    func echoes(_ text: String = "still here") async throws -> Bool {
        send(text)
        return try await bytes(text.utf8.count) == Array(text.utf8)
    }
}
