// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Reactor
import TestSupport
import Testing

extension ClusterSuite {
    /// Servers by name, through the system's resolver: the balancer runs with a file of hosts of its own.
    @Suite struct NameResolutionTests {
        /// In a mount namespace of its own a process may have another /etc/hosts; that takes root, and a kernel that lets it.
        @Sendable private static func canMount() async -> Bool {
            (try? await SpawnedCommand.run(["unshare", "--mount", "mount", "--bind", "/etc/hosts", "/etc/hosts"])) != nil
        }

        /// What getaddrinfo looks at before it tells addresses of IPv6.
        private static let hasIPv6: Bool = {
            let table = (try? String(contentsOfFile: "/proc/net/if_inet6", encoding: .utf8)) ?? ""
            return table.split(separator: "\n").contains { !$0.hasPrefix("00000000000000000000000000000001 ") }
        }()

        private static func names(_ admin: UInt16) async throws -> Set<String> {
            struct Listing: Decodable {
                struct Item: Decodable { let name, address: String }
                let items: [Item]
            }
            let answer = try await PlainHTTP(port: admin).call("GET", "/v1/servers")
            return Set(try JSONDecoder().decode(Listing.self, from: Data(answer.body)).items.map { "\($0.name) \($0.address)" })
        }

        @Test(.enabled { await canMount() }) func aNameIsLookedUpAgainAndIsAsManyServersAsItHasAddresses() async throws {
            try await ProcessBench.with { bench in
                let backend = try await EchoBackend.start("by name", on: bench.loop)
                let (port, admin) = (try freePort(), try freePort())
                let hosts = "\(bench.folder)/hosts"
                // In place: what is mounted is the file, not its name.
                @Sendable func write(_ addresses: [String]) throws {
                    let text = (["127.0.0.1 localhost"] + addresses.map { "\($0) pool.test" }).joined(separator: "\n") + "\n"
                    try Data(text.utf8).write(to: URL(fileURLWithPath: hosts))
                }
                try write(["127.0.0.1"])
                let process = try await bench.start(
                    [
                        "--mount", "sh", "-c", "mount --bind \"$0\" /etc/hosts && exec \"$@\"", hosts, DevProcess.program, "balancer",
                        "--listen", "127.0.0.1:\(port)", "--admin", "127.0.0.1:\(admin)", "--pool", "web=web@pool.test:\(backend.port)",
                    ],
                    program: "unshare"
                )
                try await bench.until("/livez", port)
                let single: Set = ["web pool.test:\(backend.port)"]
                #expect(try await Self.names(admin) == single)
                #expect(try await PlainHTTP(port: port).call("GET", "/").text == "by name")
                // Addresses of documentation, where nobody is; both families.
                try write(["127.0.0.1", "192.0.2.7", "2001:db8::7"])
                var several: Set = ["web-127.0.0.1 127.0.0.1:\(backend.port)", "web-192.0.2.7 192.0.2.7:\(backend.port)"]
                if Self.hasIPv6 { several.insert("web-2001_db8__7 [2001:db8::7]:\(backend.port)") }
                _ = try await eventually(within: .seconds(30), "\(several)") { [several] () -> Bool? in
                    try await Self.names(admin) == several ? true : nil
                }
                // A name that is gone takes nobody with it.
                try write([])
                _ = try await eventually(within: .seconds(30), "the failing look-up in the log") {
                    bench.output.contains("a server's name can't be looked up") ? true : nil
                }
                #expect(try await Self.names(admin) == several)
                try write(["127.0.0.1"])
                _ = try await eventually(within: .seconds(30), "\(single)") { () -> Bool? in
                    try await Self.names(admin) == single ? true : nil
                }
                #expect(try await PlainHTTP(port: port).call("GET", "/").text == "by name")
                try await bench.stop(process)
            }
        }

        @Test func localhostIsOneMachineWhateverItsAddresses() async throws {
            try await ProcessBench.with { bench in
                let backend = try await EchoBackend.start("by name", on: bench.loop)
                let (port, admin) = (try freePort(), try freePort())
                let process = try await bench.start([
                    "balancer", "--listen", "127.0.0.1:\(port)", "--admin", "127.0.0.1:\(admin)", "--pool",
                    "web=web@localhost:\(backend.port)",
                ])
                try await bench.until("/livez", port)
                for _ in 0..<4 { #expect(try await PlainHTTP(port: port).call("GET", "/").text == "by name") }
                #expect(try await Self.names(admin) == ["web localhost:\(backend.port)"])
                try await bench.stop(process)
            }
        }
    }
}
