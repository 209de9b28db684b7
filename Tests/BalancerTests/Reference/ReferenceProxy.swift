// Keyvane
// SPDX-License-Identifier: Apache-2.0

// What HAProxy and Apache do, asked beside our balancer: the same bytes to both, the same servers behind both.
// Flows through: a test's requests to both proxies, what the servers got and the clients were answered to a comparison.
// Owner: the fixture owns servers and balancer, `withForeignServer` the other proxy.
// Must hold: the reference is the real program, started for the test; where we differ on purpose a test says so and why.

import Balancer
import Reactor
import TestSupport

/// One that is asked like our balancer, whichever it is.
struct ReferenceProxy: Sendable {
    let name: String
    let fixture: BalancerFixture
    let address: SocketAddress
    /// What stands for each server in this proxy's sticky cookie; nil: what it gave out itself.
    let cookie: String
    let server: ForeignServer?

    func client() async throws -> TestClient {
        try await TestClient.connect(to: address, on: fixture.outer.loops[0])
    }

    /// One request on a connection of its own.
    func request(_ text: String) async throws -> TestResponse {
        let client = try await client()
        defer { client.close() }
        return try await client.request(text)
    }

    func get(_ target: String = "/", cookie: String? = nil, fields: String = "") async throws -> TestResponse {
        try await request("GET \(target) HTTP/1.1\r\nHost: a\r\n\(cookie.map { "Cookie: \($0)\r\n" } ?? "")\(fields)\r\n")
    }

    /// What pins a client to a server, as the cookie's `name=value`.
    func pin(to server: String) async throws -> String {
        for _ in 0..<100 {
            let answer = try await get()
            if answer.text == server, let value = answer.cookie(cookie) { return "\(cookie)=\(value)" }
        }
        throw DeadlinePassed("\(name) never chose \(server)")
    }

    /// `ready`, `drain` or `maint`, by each one's own means.
    func setState(_ state: String, of name: String) async throws {
        guard let server else {
            guard let state = AdministrativeState(rawValue: state) else { throw DeadlinePassed("a state \(state)") }
            return try await fixture.service.perform(.state(state), pool: "web", server: name)
        }
        let answer = try await AdminSocket.ask("set server web/\(name) state \(state)", at: server.folder + "/admin.sock", fixture)
        guard answer.allSatisfy(\.isWhitespace) else { throw DeadlinePassed("set server: \(answer)") }
    }

    /// Waits until so many requests wait for a place.
    func untilQueued(_ count: Int) async throws {
        _ = try await eventually("\(count) in the queue of \(name)") { [self] in
            guard let server else {
                let pools = try await fixture.service.status()
                return pools.first?.queued == count ? true : nil
            }
            let table = try await AdminSocket.ask("show stat", at: server.folder + "/admin.sock", fixture)
            // Name, BACKEND, and what waits now.
            let backend = table.split(separator: "\n").first { $0.hasPrefix("web,BACKEND,") }
            return backend?.split(separator: ",", omittingEmptySubsequences: false)[2] == "\(count)" ? true : nil
        }
    }

    /// What a client is told as a list that can be compared: status, and the named fields with what differs by design made equal.
    func told(_ answer: TestResponse, _ names: [String]) -> [String] {
        ["\(answer.status)"]
            + names.flatMap { name in
                answer.values(name).map { value in
                    value.hasPrefix(cookie + "=") ? "\(name): STICKY" : "\(name): \(value)"
                }
            }
    }
}

extension BalancerFixture {
    private var ours: ReferenceProxy {
        ReferenceProxy(name: "keyvane", fixture: self, address: addresses.listeners[0], cookie: "KEYVANE_WEB", server: nil)
    }

    /// `lines` are the backend's, a line for each server added; `socket` is the admin socket's path.
    func withHAProxy(
        _ lines: String,
        server options: @Sendable (String) -> String = { "cookie \($0)" },
        _ body: @Sendable (_ ours: ReferenceProxy, _ reference: ReferenceProxy) async throws -> Void
    ) async throws {
        let servers = try await serverLines { "  server \($0) \($1) \(options($0))" }
        try await withForeignServer(
            configuration: { folder, port in
                """
                global
                  nbthread 1
                  stats socket \(folder)/admin.sock mode 600 level admin
                defaults
                  mode http
                  timeout connect 30s
                  timeout check 30s
                  timeout client 60s
                  timeout server 60s
                  retries 3
                  option redispatch 1
                frontend main
                  bind 127.0.0.1:\(port)
                  default_backend web
                backend web
                \(lines)
                \(servers)

                """
            },
            command: { ["haproxy", "-db", "-f", $0] },
            { server in
                let address = SocketAddress.v4(0x7F00_0001, port: server.port)
                try await body(
                    ours,
                    ReferenceProxy(name: "HAProxy", fixture: self, address: address, cookie: "SERVERID", server: server)
                )
            }
        )
    }

    /// `settings` go into `ProxySet`; routes are the servers' names.
    func withApache(
        _ settings: String,
        _ body: @Sendable (_ ours: ReferenceProxy, _ reference: ReferenceProxy) async throws -> Void
    ) async throws {
        let members = try await serverLines { "  BalancerMember http://\($1) route=\($0) retry=1" }
        let modules = ["mpm_event", "authz_core", "slotmem_shm", "proxy", "proxy_http", "proxy_balancer", "lbmethod_byrequests"]
        try await withForeignServer(
            configuration: { folder, port in
                """
                ServerRoot \(folder)
                DefaultRuntimeDir \(folder)
                PidFile \(folder)/apache.pid
                ErrorLog \(folder)/error.log
                ServerName localhost
                Listen 127.0.0.1:\(port)
                \(modules.map { "LoadModule \($0)_module /usr/lib/apache2/modules/mod_\($0).so" }.joined(separator: "\n"))
                User nobody
                Group nogroup
                <Proxy balancer://web>
                \(members)
                  ProxySet lbmethod=byrequests \(settings)
                </Proxy>
                ProxyPreserveHost On
                ProxyPass / balancer://web/

                """
            },
            command: { ["/usr/sbin/apache2", "-X", "-f", $0] },
            { server in
                let address = SocketAddress.v4(0x7F00_0001, port: server.port)
                try await body(ours, ReferenceProxy(name: "Apache", fixture: self, address: address, cookie: "", server: server))
            }
        )
    }

    private func serverLines(_ line: (_ name: String, _ address: String) -> String) async throws -> String {
        var lines: [String] = []
        for backend in backends { lines.append(line(backend.name, try await backend.endpoint.description)) }
        return lines.joined(separator: "\n")
    }
}

/// HAProxy's way to be told things: a line, and all that comes until the end.
enum AdminSocket {
    static func ask(_ line: String, at path: String, _ fixture: BalancerFixture) async throws -> String {
        let client = try await TestClient.connect(to: .unix(path), on: fixture.outer.loops[0])
        defer { client.close() }
        client.send(line + "\n")
        return String(decoding: try await client.untilEnd(), as: UTF8.self)
    }
}
