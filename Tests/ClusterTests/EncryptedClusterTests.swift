// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import KeyvaneClient
import NIOSSL
import Reactor
import TestSupport
import Testing

extension ClusterSuite {
    /// TLS on every way between two processes, with certificates on both sides, as docs/security.md configures it.
    @Suite struct EncryptedClusterTests {
        /// What the processes of one cluster are told. Every file is PEM.
        private struct Setup: Sendable {
            static let token = "root-token-of-the-tests-0123456789-abcdef"
            static let masterKeys = "one:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

            let bench: ProcessBench
            let certificates: TestCertificates
            let postgres: UInt16
            let redis: UInt16
            let api: UInt16
            let gateway: UInt16

            /// The certificate that every process shows where it is a client.
            var own: (certificate: String, key: String) { (certificates.certificate(.client), certificates.key(.client)) }

            func postgresURL(_ more: String) -> String {
                "postgres://keyvane:hunt%2Ber2@localhost:\(postgres)/keyvane_test?sslcert=\(own.certificate)&sslkey=\(own.key)&\(more)"
            }

            func redisURL(ca: String) -> String {
                "rediss://:redis-password@localhost:\(redis)/0?ca=\(ca)&certificate=\(own.certificate)&key=\(own.key)"
            }

            /// Of an API or a gateway, where both backends are named by hand.
            func environment(postgres: String, redis: String) -> [String: String] {
                [
                    "KEYVANE_POSTGRES": postgres, "KEYVANE_REDIS": redis, "KEYVANE_MASTER_KEYS": Self.masterKeys,
                    "KEYVANE_ROOT_TOKEN": Self.token,
                ]
            }

            /// Of a role that trusts this authority.
            func environment(ca: String) -> [String: String] {
                environment(postgres: postgresURL("sslmode=verify-full&sslrootcert=\(ca)"), redis: redisURL(ca: ca))
            }

            func start(_ role: String, port: UInt16, _ environment: [String: String]) async throws {
                let tls = [
                    "--tls-certificate", certificates.certificate(.server), "--tls-key", certificates.key(.server), "--tls-client-ca",
                    certificates.authority,
                ]
                _ = try await bench.start([role, "--listen", "127.0.0.1:\(port)"] + tls, environment: environment)
            }

            /// A balancer with TLS in front and, by `pools`, behind.
            func startBalancer(_ name: String, port: UInt16, pools: String) async throws {
                let (certificate, key) = (certificates.certificate(.server), certificates.key(.server))
                try bench.write(
                    """
                    listeners:
                      - { bind: "127.0.0.1:\(port)", tls: { certificates: [{ certificate: \(certificate), key: \(key) }] } }
                    admin: off
                    pools:
                      api: { \(pools), health: { interval: 1s, timeout: 1s } }
                      gateway: { \(pools), health: { interval: 1s, timeout: 1s } }
                    """,
                    to: "\(name).yaml"
                )
                let registry = ["KEYVANE_REDIS": redisURL(ca: certificates.authority)]
                _ = try await bench.start(["balancer", "--config", "\(bench.folder)/\(name).yaml"], environment: registry)
            }

            func tls(ca: String, _ more: String = "") -> String { "discover: [redis], tls: { ca: \(ca)\(more) }" }

            /// The status of a request by curl, and what it said; 0 where there was no answer.
            func curl(
                _ url: String,
                ca: String? = nil,
                showsCertificate: Bool = false,
                _ more: [String] = []
            ) async throws -> (status: Int, text: String) {
                let certificate = showsCertificate ? ["--cert", own.certificate, "--key", own.key] : []
                let basics = ["curl", "-s", "-S", "--max-time", "10", "-w", "\n%{http_code}", "--cacert", ca ?? certificates.authority]
                let fields = ["-H", "Authorization: Bearer \(Self.token)", "-H", "Content-Type: application/json"]
                let text = try await ForeignClient.run(basics + fields + certificate + more + [url]).text
                return (text.split(separator: "\n").last.flatMap { Int($0) } ?? 0, text)
            }

            /// Until `url` answers what is expected.
            func until(_ status: Int, _ url: String, showsCertificate: Bool = false) async throws {
                do {
                    _ = try await eventually(within: .seconds(60), every: .milliseconds(100), "\(status) from \(url)") { () -> Bool? in
                        try await curl(url, showsCertificate: showsCertificate).status == status ? true : nil
                    }
                } catch {
                    throw DeadlinePassed("\(error): \(bench.output.suffix(3000))")
                }
            }
        }

        private static func with(_ body: @escaping @Sendable (Setup) async throws -> Void) async throws {
            try await withCertificates { certificates in
                try await withPrivatePostgres { database in
                    let postgres = try await database.server.serveTLS(certificates, database: database.name, password: "hunt+er2")
                    let redis = try RedisProcess.freePort()
                    let arguments = certificates.redis(port: redis, verifies: true)
                    try await withRedis(password: "redis-password", arguments: arguments) { _ in
                        let (api, gateway) = (try freePort(), try freePort())
                        try await ProcessBench.with { bench in
                            try await body(
                                Setup(
                                    bench: bench,
                                    certificates: certificates,
                                    postgres: postgres,
                                    redis: redis,
                                    api: api,
                                    gateway: gateway
                                )
                            )
                        }
                    }
                }
            }
        }

        @Test func everyHopIsEncryptedAndRefusesEverythingElse() async throws {
            try await Self.with { setup in
                let (ours, theirs) = (setup.certificates.authority, setup.certificates.otherAuthority)
                let ports = try (0..<6).map { _ in try freePort() }
                try await setup.start("api", port: setup.api, setup.environment(ca: ours))
                try await setup.start("gateway", port: setup.gateway, setup.environment(ca: ours))
                let card = ", certificate: \(setup.own.certificate), key: \(setup.own.key)"
                try await setup.startBalancer("good", port: ports[0], pools: setup.tls(ca: ours, card))
                // What must not work is started at once; by the time it is asked it has had every chance.
                try await setup.startBalancer("other-authority", port: ports[1], pools: setup.tls(ca: theirs, card))
                try await setup.startBalancer("no-certificate", port: ports[2], pools: setup.tls(ca: ours))
                try await setup.startBalancer("plain", port: ports[3], pools: "discover: [redis]")
                try await setup.start("api", port: ports[4], setup.environment(ca: theirs))
                let plainRedis = "redis://:redis-password@localhost:\(setup.redis)/0"
                let plain = setup.environment(postgres: setup.postgresURL("sslmode=disable"), redis: plainRedis)
                try await setup.start("api", port: ports[5], plain)

                try await setup.until(200, "https://localhost:\(setup.api)/readyz", showsCertificate: true)
                try await setup.until(200, "https://localhost:\(setup.gateway)/readyz", showsCertificate: true)
                try await Self.aChangeArrives(setup, ports[0])
                try await Self.clientsAreRefused(setup, ports[0])
                for port in ports[1...3] { try await Self.nobodyIsBehind(setup, port) }
                try await Self.bothBackendsAreAway(setup, ports[4], "certificate verify failed")
                try await Self.bothBackendsAreAway(setup, ports[5], "no encryption")
                #expect(!setup.bench.output.contains("hunt+er2") && !setup.bench.output.contains("hunt%2Ber2"))
                #expect(!setup.bench.output.contains("redis-password") && !setup.bench.output.contains(Setup.token))
            }
        }

        private static func settings(_ url: String, ca: String) throws -> ClientSettings {
            var tls = TLSConfiguration.makeClientConfiguration()
            tls.trustRoots = .file(ca)
            return ClientSettings(url: url, token: Setup.token, tls: tls, requestTimeout: .seconds(10), retries: 0)
        }

        private static func aChangeArrives(_ setup: Setup, _ port: UInt16) async throws {
            let url = "https://localhost:\(port)"
            // Through the balancer to an API, and on to PostgreSQL and Redis.
            for (path, slug) in [
                ("/v1/workspaces", "acme"), ("/v1/workspaces/acme/projects", "web"), ("/v1/projects/acme/web/environments", "production"),
            ] {
                _ = try await eventually(within: .seconds(60), every: .milliseconds(200), "\(slug)") {
                    try await setup.curl("\(url)\(path)", ["-d", "{\"slug\":\"\(slug)\"}"]).status == 201 ? true : nil
                }
            }
            let events = Events<String>()
            try await ConfigurationClient.withClient(try settings(url, ca: setup.certificates.authority)) { client in
                try await watchAndWrite(setup, url, client, events)
                #expect(try await client.configuration(Cluster.environmentPath).entries.map(\.name) == ["DB_HOST"])
            }
            let health = try await setup.curl("https://localhost:\(setup.api)/health", showsCertificate: true)
            #expect(health.text.contains("\"database\":true") && health.text.contains("\"redis\":true"), "\(health.text)")
        }

        private static func watchAndWrite(
            _ setup: Setup,
            _ url: String,
            _ client: ConfigurationClient,
            _ events: Events<String>
        ) async throws {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    for try await event in client.events(Cluster.environmentPath) {
                        switch event {
                        case .snapshot: events.emit("snapshot")
                        case .changes(let changes):
                            for change in changes.changes { events.emit("\(change.name)=\(change.value ?? "")") }
                        case .connected, .disconnected: break
                        }
                    }
                }
                try await events.until("a snapshot") { $0.contains("snapshot") }
                let body = #"{"value":"10.0.0.9"}"#
                let write = try await setup.curl("\(url)\(Cluster.restPath)/variables/DB_HOST", ["-X", "PUT", "-d", body])
                #expect(write.status == 201, "\(write.text)")
                try await events.until("the change") { $0.contains("DB_HOST=10.0.0.9") }
                group.cancelAll()
            }
        }

        /// At the balancer, and at the two behind it.
        private static func clientsAreRefused(_ setup: Setup, _ port: UInt16) async throws {
            // The control is the client that has just read it.
            let wrong = try settings("https://localhost:\(port)", ca: setup.certificates.otherAuthority)
            let plain = try settings("http://localhost:\(port)", ca: setup.certificates.authority)
            for settings in [wrong, plain] {
                await #expect(throws: ClientError.self) {
                    try await ConfigurationClient.withClient(settings) { try await $0.configuration(Cluster.environmentPath) }
                }
            }
            for port in [setup.api, setup.gateway] {
                // The control: with a certificate it is let in.
                try await setup.until(200, "https://localhost:\(port)/livez", showsCertificate: true)
                let without = try await setup.curl("https://localhost:\(port)/livez")
                #expect(without.status == 0, "\(without.text)")
                let other = setup.certificates.otherAuthority
                let stranger = try await setup.curl("https://localhost:\(port)/livez", ca: other, showsCertificate: true)
                #expect(stranger.status == 0, "\(stranger.text)")
                let unencrypted = try await setup.curl("http://localhost:\(port)/livez")
                #expect(unencrypted.status != 200, "\(unencrypted.text)")
            }
        }

        /// The balancer lives, knows the servers, and can't talk to them.
        private static func nobodyIsBehind(_ setup: Setup, _ port: UInt16) async throws {
            try await setup.until(200, "https://localhost:\(port)/livez")
            for path in ["/v1/whoami", "/v1/watch?environment=\(Cluster.environmentPath)"] {
                let answer = try await setup.curl("https://localhost:\(port)\(path)")
                #expect([400, 502, 503].contains(answer.status), "\(answer.text)")
            }
        }

        /// The process lives and says why it can do nothing.
        private static func bothBackendsAreAway(_ setup: Setup, _ port: UInt16, _ reason: String) async throws {
            try await setup.until(503, "https://localhost:\(port)/health", showsCertificate: true)
            let health = try await setup.curl("https://localhost:\(port)/health", showsCertificate: true)
            #expect(health.text.contains("\"database\":false") && health.text.contains("\"redis\":false"), "\(health.text)")
            #expect(setup.bench.output.contains(reason), "\(setup.bench.output.suffix(3000))")
        }
    }
}
