// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Reactor
import TestSupport
import Testing

extension ClusterSuite {
    /// `keyvane servers`, the executable, against a `keyvane balancer` whose admin listener has TLS and users.
    @Suite struct ServersCommandTests {
        /// A balancer in front of `web-1` and `web-2` of pool web, and `web-2` of pool other.
        private struct Setup: Sendable {
            let bench: ProcessBench
            let port: UInt16
            let admin: UInt16
            let authority: String
            let otherAuthority: String

            /// As an operator.
            func servers(_ arguments: [String], password: String? = "change") async throws -> (exit: ChildExit, output: String) {
                try await DevProcess.run(["servers"] + arguments + flags, environment: Setup.environment(password))
            }

            var flags: [String] { ["--admin", "https://localhost:\(admin)", "--user", "ops", "--admin-ca", authority] }

            static func environment(_ password: String?) -> [String: String] { password.map { ["KEYVANE_ADMIN_PASSWORD": $0] } ?? [:] }

            func list() async throws -> [[String: Any]] {
                let (exit, output) = try await servers(["list", "--json"])
                #expect(exit == .code(0))
                return try #require(try JSONSerialization.jsonObject(with: Data(output.utf8)) as? [[String: Any]], "\(output)")
            }

            func server(_ pool: String, _ name: String) async throws -> [String: Any] {
                try #require(try await list().first { $0["pool"] as? String == pool && $0["name"] as? String == name })
            }

            /// Who answers the next requests.
            func answers(_ count: Int = 6) async throws -> Set<String> {
                var names: Set<String> = []
                for _ in 0..<count { names.insert(try await PlainHTTP(port: port).call("GET", "/").text) }
                return names
            }
        }

        private static func with(_ body: @Sendable (Setup) async throws -> Void) async throws {
            try await withCertificates { certificates in
                let (authority, other) = (certificates.authority, certificates.otherAuthority)
                let files = (certificates.certificate(.server), certificates.key(.server))
                try await ProcessBench.with { bench in
                    let (port, admin) = (try freePort(), try freePort())
                    let backends = (
                        try await EchoBackend.start("web-1", on: bench.loop), try await EchoBackend.start("web-2", on: bench.loop)
                    )
                    try bench.write("change\n", to: "ops.password")
                    try bench.write("look\n", to: "eve.password")
                    try bench.write(
                        """
                        listeners: ["127.0.0.1:\(port)"]
                        admin:
                          bind: "127.0.0.1:\(admin)"
                          tls: { certificates: [{ certificate: \(files.0), key: \(files.1) }] }
                          users:
                            - { name: ops, password_file: ops.password, role: operator }
                            - { name: eve, password_file: eve.password, role: viewer }
                        pools:
                          web:
                            sticky: off
                            health: { path: /, interval: 200ms }
                            servers:
                              - { name: web-1, address: "127.0.0.1:\(backends.0.port)" }
                              - { name: web-2, address: "127.0.0.1:\(backends.1.port)" }
                          other:
                            servers: [{ name: web-2, address: "127.0.0.1:\(backends.1.port)" }]
                        routes: [{ path: /, pool: web }]
                        limits: { drain: 3s, drain_tunnels: 2s }
                        """
                    )
                    let process = try await bench.start(["balancer", "--config", bench.file])
                    try await bench.until("/livez", port)
                    try await body(Setup(bench: bench, port: port, admin: admin, authority: authority, otherAuthority: other))
                    try await bench.stop(process)
                }
            }
        }

        @Test func theyAreListedForPeopleAndForPrograms() async throws {
            try await Self.with { setup in
                _ = try await setup.answers(4)
                let (exit, output) = try await setup.servers(["list"])
                let rows = output.split(separator: "\n").map { $0.split(separator: " ", omittingEmptySubsequences: true).map(String.init) }
                #expect(exit == .code(0) && rows.count == 4, "\(output)")
                #expect(rows[0] == ["POOL", "NAME", "ADDRESS", "STATE", "FOR", "WEIGHT", "REQUESTS", "RUNNING", "TUNNELS"])
                #expect(rows.dropFirst().map { "\($0[0])/\($0[1]) \($0[3])" } == ["web/web-1 up", "web/web-2 up", "other/web-2 up"])
                #expect(rows[1][5...] == ["1", "2", "0", "0"], "\(output)")
                // No colour where there is no terminal.
                #expect(!output.contains("\u{1B}"))
                let server = try await setup.server("web", "web-1")
                #expect(server["requests"] as? Int == 2 && server["weight"] as? Int == 1 && server["state"] as? String == "up")
                #expect(server["drain"] == nil || server["drain"] is NSNull)
            }
        }

        @Test func aDrainIsWaitedForUntilItsLastTunnelHasEnded() async throws {
            try await Self.with { setup in
                try await LoopGroup.withLoops(count: 1) { group in
                    // Round robin: the first of two is the first server's.
                    let client = try await WebSocketClient.connect(port: setup.port, "/", on: group.loops[0])
                    _ = try await client.events.first(within: .seconds(30), "the tunnel")
                    let name = try #require(try await setup.list().first { $0["tunnels"] as? Int == 1 }?["name"] as? String)
                    let command = try await setup.bench.start(
                        ["servers", "drain", "web/\(name)", "--wait"] + setup.flags,
                        environment: Setup.environment("change")
                    )
                    _ = try await eventually("the drain") { () -> Bool? in
                        try await setup.server("web", name)["state"] as? String == "drain" ? true : nil
                    }
                    #expect(try await setup.answers() == [name == "web-1" ? "web-2" : "web-1"])
                    #expect(command.isRunning && client.events.all.count == 1)
                    #expect(try await command.exit(within: .seconds(30)) == .code(0))
                    // At its deadline the balancer has closed what was left.
                    _ = try await client.end()
                    #expect(setup.bench.output.contains("web/\(name) is drained\n"), "\(setup.bench.output.suffix(2000))")
                    let drained = try await setup.server("web", name)
                    #expect(drained["state"] as? String == "drained" && drained["tunnels"] as? Int == 0)

                    let (exit, output) = try await setup.servers(["ready", "web/\(name)"])
                    #expect(exit == .code(0) && output == "web/\(name) is ready: up\n", "\(output)")
                    _ = try await eventually("both to answer") { try await setup.answers().count == 2 ? true : nil }
                }
            }
        }

        @Test func withoutWaitingADrainTellsWhatIsLeftAndMaintenanceIsAtOnce() async throws {
            try await Self.with { setup in
                let drain = try await setup.servers(["drain", "web-1"])
                #expect(
                    drain.exit == .code(0) && drain.output.hasPrefix("web/web-1 drains: 0 requests and 0 tunnels left, pinned clients for ")
                )
                let maint = try await setup.servers(["maint", "web-1"])
                #expect(maint.exit == .code(0) && maint.output == "web/web-1 is in maintenance\n", "\(maint.output)")
                #expect(try await setup.server("web", "web-1")["state"] as? String == "maint")
                #expect(try await setup.answers() == ["web-2"])
                // Somebody who waits for a drain is told when it becomes something else.
                _ = try await setup.servers(["ready", "web-1"])
                let waiting = try await setup.bench.start(
                    ["servers", "drain", "web-1", "--wait"] + setup.flags,
                    environment: Setup.environment("change")
                )
                _ = try await eventually("the drain") { () -> Bool? in
                    try await setup.server("web", "web-1")["administrativeState"] as? String == "drain" ? true : nil
                }
                _ = try await setup.servers(["maint", "web-1"])
                #expect(try await waiting.exit(within: .seconds(30)) == .code(1))
                #expect(setup.bench.output.contains("web/web-1 is maint meanwhile; somebody else has changed it"))
            }
        }

        @Test func weightsAreChangedAndJudged() async throws {
            try await Self.with { setup in
                let changed = try await setup.servers(["weight", "web-1", "20"])
                #expect(changed.exit == .code(0) && changed.output == "web/web-1 has weight 20\n", "\(changed.output)")
                #expect(try await setup.server("web", "web-1")["weight"] as? Int == 20)
                let zero = try await setup.servers(["weight", "web/web-1", "0"])
                #expect(zero.exit == .code(0))
                #expect(try await setup.answers() == ["web-2"])
                for (weight, words) in [("257", "not within 0 to 256"), ("-1", "0 to 256"), ("heavy", "'heavy'"), ("1.5", "'1.5'")] {
                    let (exit, output) = try await setup.servers(["weight", "web-1", weight])
                    #expect(exit == .code(2) && output.contains(words), "\(weight): \(exit) \(output)")
                }
                #expect(try await setup.server("web", "web-1")["weight"] as? Int == 0)
            }
        }

        @Test func aWrongNameIsToldWithThoseThatExist() async throws {
            try await Self.with { setup in
                for arguments in [
                    ["drain", "web-9"], ["ready", "web/web-9"], ["weight", "web-9", "1"], ["maint", "web"], ["drain", ""],
                ] {
                    let (exit, output) = try await setup.servers(arguments)
                    #expect(exit == .code(1) && output.contains("there is no server '\(arguments[1])'"), "\(exit) \(output)")
                    #expect(output.contains("web/web-1, web/web-2, other/web-2"), "\(output)")
                }
                // Two pools have one of this name.
                let (exit, output) = try await setup.servers(["drain", "web-2"])
                #expect(exit == .code(1) && output.contains("write web/web-2 or other/web-2"), "\(exit) \(output)")
                #expect(try await setup.list().allSatisfy { $0["state"] as? String == "up" })
                #expect(try await setup.servers(["drain"]).exit == .code(2))
            }
        }

        @Test func whoMayNotIsToldWhy() async throws {
            try await Self.with { setup in
                let wrong = try await setup.servers(["list"], password: "guess")
                #expect(wrong.exit == .code(1) && wrong.output.contains("answered 401"), "\(wrong.output)")
                #expect(wrong.output.contains("KEYVANE_ADMIN_PASSWORD") && !wrong.output.contains("guess"))
                let none = try await setup.servers(["list"], password: nil)
                #expect(none.exit == .code(2) && none.output.contains("adminPassword"), "\(none.output)")
                let admin = "https://127.0.0.1:\(setup.admin)"
                let nobody = try await DevProcess.run(["servers", "list", "--admin", admin, "--admin-ca", setup.authority])
                #expect(
                    nobody.exit == .code(1) && nobody.output.contains("answered 401") && nobody.output.contains("--user"),
                    "\(nobody.output)"
                )
                // A viewer may look.
                let viewer = ["--admin", admin, "--user", "eve", "--admin-ca", setup.authority]
                let looks = try await DevProcess.run(["servers", "list"] + viewer, environment: Setup.environment("look"))
                #expect(looks.exit == .code(0) && looks.output.contains("web-1"))
                let changes = try await DevProcess.run(["servers", "drain", "web-1"] + viewer, environment: Setup.environment("look"))
                #expect(changes.exit == .code(1) && changes.output.contains("'eve' is a viewer"), "\(changes.output)")
                #expect(try await setup.server("web", "web-1")["state"] as? String == "up")
            }
        }

        @Test func anAdminListenerThatIsNotThereIsToldWithTheRemedy() async throws {
            try await Self.with { setup in
                let nowhere = "127.0.0.1:\(try freePort())"
                let refused = try await DevProcess.run(["servers", "list", "--admin", nowhere])
                #expect(
                    refused.exit == .code(1) && refused.output.contains("no balancer answers at http://\(nowhere): "),
                    "\(refused.output)"
                )
                #expect(refused.output.contains("refused") && refused.output.contains("KEYVANE_ADMIN"), "\(refused.output)")
                // A certificate of somebody else's authority, and no TLS where there is some.
                let foreign = try await DevProcess.run(
                    ["servers", "list", "--admin", "https://127.0.0.1:\(setup.admin)", "--admin-ca", setup.otherAuthority]
                )
                #expect(
                    foreign.exit == .code(1) && foreign.output.contains("certificate") && foreign.output.contains("--admin-ca"),
                    "\(foreign.output)"
                )
                let plain = try await DevProcess.run(["servers", "list", "--admin", "127.0.0.1:\(setup.admin)"])
                #expect(plain.exit == .code(1) && plain.output.contains("https"), "\(plain.output)")
                // Somebody who is no admin listener.
                let stranger = try await DevProcess.run(["servers", "list", "--admin", "127.0.0.1:\(setup.port)"])
                #expect(stranger.exit == .code(1) && stranger.output.contains("is no balancer's admin listener"), "\(stranger.output)")
                let missing = try await DevProcess.run(
                    ["servers", "list", "--admin", "https://127.0.0.1:\(setup.admin)", "--admin-ca", "/no/such.pem"]
                )
                #expect(missing.exit == .code(2) && missing.output.contains("/no/such.pem"), "\(missing.output)")
                for address in ["ftp://127.0.0.1:1", "http://", "http://u:p@127.0.0.1:1"] {
                    let (exit, output) = try await DevProcess.run(["servers", "list", "--admin", address])
                    #expect(exit == .code(2) && output.contains("admin"), "\(address): \(exit) \(output)")
                }
            }
        }
    }
}
