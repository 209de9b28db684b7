// Keyvane
// SPDX-License-Identifier: Apache-2.0

// The admin interface over real sockets: pages, REST, commands.
// Flows through: a request or command line as bytes to a balancer's admin listener or socket, and back as a response or a text.
// Owner: the fixture owns the balancer; each question has a connection of its own.
// Must hold: passwords and sockets are in folders that go with the test.

import Balancer
import Foundation
import Reactor
import TestSupport
import Wire

extension BalancerFixture {
    /// One request on a connection of its own.
    func ask(
        _ method: String,
        _ path: String,
        fields: [String] = [],
        host: String = "localhost",
        body: String? = nil
    ) async throws -> TestResponse {
        let client = try await admin()
        defer { client.close() }
        var lines = ["\(method) \(path) HTTP/1.1", "Host: \(host)"] + fields
        if let body { lines.append("Content-Length: \(body.utf8.count)") }
        client.send(lines.joined(separator: "\r\n") + "\r\n\r\n" + (body ?? ""))
        return try await client.response(to: method == "HEAD" ? .head : .get)
    }

    func patch(_ server: String, _ body: String) async throws -> TestResponse {
        try await ask("PATCH", "/v1/servers/\(server)", fields: ["Content-Type: application/json"], body: body)
    }

    func add(_ body: String) async throws -> TestResponse {
        try await ask("POST", "/v1/servers", fields: ["Content-Type: application/json"], body: body)
    }

    /// What the manager's page would send.
    func submit(_ form: String, fields: [String] = []) async throws -> TestResponse {
        let type = "Content-Type: application/x-www-form-urlencoded"
        return try await ask("POST", "/balancer-manager", fields: [type] + fields, body: form)
    }

    /// The token of the manager's forms.
    func formToken(fields: [String] = []) async throws -> String {
        let page = try await ask("GET", "/balancer-manager", fields: fields).text
        guard let start = page.range(of: "name=\"token\" value=\"") else { throw DeadlinePassed("a form on \(page)") }
        return String(page[start.upperBound...].prefix { $0 != "\"" })
    }

    /// Everything that a socket says to these lines, to the end.
    func command(_ text: String, at path: String) async throws -> String {
        let client = try await TestClient.connect(to: .unix(path), on: outer.loops[0])
        defer { client.close() }
        client.send(text)
        return String(decoding: try await client.untilEnd(), as: UTF8.self)
    }

    /// With an admin socket, whose path the body gets.
    static func withSocket(
        _ pools: [(pool: String, name: String)] = [("web", "web-1"), ("web", "web-2")],
        configure: @Sendable (inout BalancerConfiguration) -> Void = { _ in },
        _ body: @Sendable (BalancerFixture, _ path: String) async throws -> Void
    ) async throws {
        let folder = try TemporaryFolder("kv-admin")
        defer { folder.remove() }
        let path = folder.path + "/admin.sock"
        try await with(
            pools,
            configure: {
                $0.admin?.socket = path
                configure(&$0)
            }
        ) { try await body($0, path) }
    }

    /// With the users `eve` (viewer) and `ops` (operator), whose passwords are `look` and `change`.
    static func withUsers(_ body: @Sendable (BalancerFixture) async throws -> Void) async throws {
        let folder = try TemporaryFolder("kv-users")
        defer { folder.remove() }
        for (name, password) in [("eve", "look\nsecond line\n"), ("ops", "change")] {
            try password.write(toFile: "\(folder.path)/\(name)", atomically: true, encoding: .utf8)
        }
        let users = [
            AdminConfiguration.User(name: "eve", passwordFile: "\(folder.path)/eve", role: .viewer),
            AdminConfiguration.User(name: "ops", passwordFile: "\(folder.path)/ops", role: .operator),
        ]
        try await with(configure: { $0.admin?.users = users }, body)
    }
}

/// `Authorization: Basic` for a name and a password.
func basic(_ name: String, _ password: String) -> String {
    "Authorization: Basic \(Data("\(name):\(password)".utf8).base64EncodedString())"
}
