// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Foundation
import Glibc
import TestSupport

/// A folder with a configuration file and whatever it refers to; gone at the end of the test.
struct ConfigurationFolder: Sendable {
    let path: String

    static func with<Value>(_ body: (ConfigurationFolder) async throws -> Value) async throws -> Value {
        let path = "/tmp/keyvane-config-\(getpid())-\(UUID().uuidString.prefix(8))"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: path) }
        return try await body(ConfigurationFolder(path: path))
    }

    var file: String { "\(path)/balancer.yaml" }

    func write(_ text: String, to name: String = "balancer.yaml") throws {
        try Data(text.utf8).write(to: URL(fileURLWithPath: "\(path)/\(name)"), options: .atomic)
    }

    /// Everything that the contract's example refers to.
    func writeExampleFiles() async throws {
        try await withCertificates { certificates in
            let authority = try String(contentsOfFile: certificates.authority, encoding: .utf8)
            let certificate = try String(contentsOfFile: certificates.certificate(.server), encoding: .utf8)
            let key = try String(contentsOfFile: certificates.key(.server), encoding: .utf8)
            for name in ["a.crt", "client.crt"] { try write(certificate, to: name) }
            for name in ["a.key", "client.key"] { try write(key, to: name) }
            try write(certificate + key, to: "site.pem")
            try write(authority, to: "ca.pem")
        }
        try write("a password\n", to: "ops.password")
        try write("<h1>Back soon</h1>\n", to: "maintenance.html")
        try write("k1:\(Data(repeating: 7, count: 32).base64EncodedString())\n", to: "sticky.keys")
    }

    /// The contract's example with the paths of this folder; `user` and `group` are not in it.
    static let example = #"""
        listeners:
          - bind: "0.0.0.0:80"
            redirect_https: 301            # host and URI kept; not for ACME or health paths
          - bind: "[::]:443"
            tls: { certificates: [{ pem: site.pem }, { certificate: a.crt, key: a.key }], minimum: "1.2", alpn: [h2, http/1.1] }
            proxy_protocol: accept         # v1, v2, only from trusted_proxies
            hsts: { max_age: 31536000, include_subdomains: true }
        admin: { bind: "127.0.0.1:9100", socket: /run/keyvane/balancer.sock, users: [{ name: ops, password_file: ops.password, role: operator }] }
        trusted_proxies: ["10.0.0.0/8"]
        security_headers: modern           # or `classic`: nosniff, DENY, X-XSS-Protection; or off
        access_log: json                   # json, httplog, off; also per route
        pools:
          api:
            balance: roundrobin            # smooth weighted; leastconn; p2c; hash; random; first
            sticky: { mode: cookie, name: KEYVANE_API, max_idle: 1h, max_life: 24h, on_down: rebalance }   # default name KEYVANE_<POOL>
            health: { path: /readyz, expect: 200, interval: 5s, timeout: 2s, fall: 3, rise: 2 }
            passive: { max_fails: 3, fail_timeout: 30s, max_ejected_percent: 50 }
            slow_start: 30s
            servers:
              - { name: web1, address: "127.0.0.1:8081", weight: 10, maxconn: 100, route: first }
              - { name: backup1, address: "unix:/run/x.sock", weight: 5, maxconn: 50, backup: true }
            discover: [redis]
            tls: { ca: ca.pem, certificate: client.crt, key: client.key }   # TLS, mutual TLS to the servers
            error_pages: { 503: maintenance.html }
          gateway:
            balance: { hash: "query(environment)", bounded_load: 1.25 }   # clients of one environment share gateways
            sticky: { mode: cookie, name: KEYVANE_GATEWAY }               # a valid pin wins over the hash; off by default where balance is a hash
            headers: { response: { set: { X-Frame-Options: DENY }, remove: [Server] }, request: { add: { X-Edge: a } } }
            on_marked_down: { paced: 500/s }                              # or cut (shutdown-sessions), keep
            discover: [redis]
        routes:
          - { host: "*", path: /v1/watch, pool: gateway }
          - { path: /socket.io/, pool: gateway }
          - { path: /, pool: api, compression: gzip, rate_limit: { key: token|ip, rate: 100/s, burst: 200 } }
        sticky_keys_file: sticky.keys   # or KEYVANE_STICKY_KEYS; the first signs, all verify; none: random per process, with a warning
        limits: { upgrades_per_second: 2000, header_timeout: 10s, client_idle: 65s, connect: 5s, response: 60s, tunnel_idle: 1h, header_bytes: 32KiB, headers: 100 }
        """#

    /// The least there can be, with more lines behind it.
    static func least(_ more: String = "", pool: String = "", listener: String = "") -> String {
        """
        listeners:
          - bind: "127.0.0.1:8080"
        \(indented(listener, 4))pools:
          web:
            servers:
              - address: "127.0.0.1:8081"
        \(indented(pool, 4))\(more)

        """
    }

    private static func indented(_ text: String, _ depth: Int) -> String {
        text.split(separator: "\n").map { String(repeating: " ", count: depth) + $0 + "\n" }.joined()
    }
}
