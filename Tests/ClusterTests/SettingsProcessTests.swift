// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Keyvane
import Reactor
import TestSupport
import Testing

extension ClusterSuite {
    /// Settings as processes take them: refused with the key's name, and read again while they run.
    @Suite struct SettingsProcessTests {
        private static let keys = "k1:\(Data(count: 32).base64EncodedString())"

        private static func required(_ more: [String: String] = [:]) -> [String: String] {
            ["KEYVANE_POSTGRES": "postgres://u:never-shown@127.0.0.1:1/d", "KEYVANE_MASTER_KEYS": keys].merging(more) { $1 }
        }

        @Test(arguments: ["api", "gateway"]) func aCheckFindsEverythingAndConnectsNowhere(_ role: String) async throws {
            // Nobody answers at these addresses, and nobody is asked.
            let good = try await DevProcess.run([role, "--check-config", "--listen", ":0"], environment: Self.required())
            #expect(good.exit == .code(0) && good.output == "The settings are valid.\n", "\(good.output)")
            let environment = Self.required(["KEYVANE_LOG_LEVEL": "loud", "KEYVANE_LOOPS": "0", "KEYVANE_ROOT_TOKEN": "never-shown"])
            let bad = try await DevProcess.run([role, "--check-config"], environment: environment)
            #expect(bad.exit == .code(1))
            for key in ["rootToken (KEYVANE_ROOT_TOKEN", "loops (KEYVANE_LOOPS", "logLevel (KEYVANE_LOG_LEVEL"] {
                #expect(bad.output.contains("keyvane: \(key)"), "\(bad.output)")
            }
            #expect(!bad.output.contains("never-shown"))
            let start = try await DevProcess.run([role], environment: environment)
            #expect(start.exit == .code(2) && start.output == bad.output)
        }

        @Test func aCheckLoadsTheFilesOfTLS() async throws {
            try await withCertificates { files in
                func check(_ certificate: String, _ key: String, ca: String? = nil) async throws -> (exit: ChildExit, output: String) {
                    let flags = ["--tls-certificate", certificate, "--tls-key", key] + (ca.map { ["--tls-client-ca", $0] } ?? [])
                    return try await DevProcess.run(["gateway", "--check-config"] + flags, environment: Self.required())
                }
                let good = try await check(files.certificate(.server), files.key(.server), ca: files.authority)
                #expect(good.exit == .code(0), "\(good.output)")
                for (certificate, key) in [(files.certificate(.server), files.key(.client)), (files.key(.server), files.key(.server))] {
                    let bad = try await check(certificate, key)
                    #expect(bad.exit == .code(1) && bad.output.contains("keyvane: tlsCertificate ("), "\(bad.output)")
                }
                let missing = try await check(files.missing, files.key(.server))
                #expect(missing.exit == .code(1) && missing.output.contains("\(files.missing) can't be read: No such file"))
            }
        }

        @Test func anAPIAndAGatewayTakeNewSettingsWhileTheyRun() async throws {
            try await ProcessBench.with { bench in
                try await withRedis { redis in
                    try await withPostgres { url in
                        try await withCertificates { files in
                            try await reload(bench, Self.required(["KEYVANE_POSTGRES": url, "KEYVANE_REDIS": redis.url]), files)
                        }
                    }
                }
            }
        }

        private struct Instance {
            let port: UInt16
            let process: DevProcess
            let ear: NotifySocket
        }

        private func reload(_ bench: ProcessBench, _ environment: [String: String], _ files: TestCertificates) async throws {
            let (certificate, key) = ("\(bench.folder)/own.pem", "\(bench.folder)/own.key")
            func install(_ name: TestCertificates.Name) throws {
                try bench.write(try String(contentsOfFile: files.key(name), encoding: .utf8), to: "own.key")
                try bench.write(try String(contentsOfFile: files.certificate(name), encoding: .utf8), to: "own.pem")
            }
            func write(_ more: String = "", rate: String = "100") throws {
                let text = "tlsCertificate: \(certificate)\ntlsKey: \(key)\ncluster: blue\nmessageRate: \(rate)\n\(more)\n"
                try bench.write(text, to: "keyvane.yaml")
            }
            try install(.server)
            try write()
            var instances: [Instance] = []
            for role in ["api", "gateway"] {
                let (port, ear) = (try freePort(), try NotifySocket("\(bench.folder)/\(role).notify"))
                let process = try await bench.start(
                    [role, "--name", role, "--config", "\(bench.folder)/keyvane.yaml", "--listen", "127.0.0.1:\(port)"],
                    environment: environment.merging(["NOTIFY_SOCKET": ear.path, "KEYVANE_WETHER": "x"]) { $1 }
                )
                instances.append(Instance(port: port, process: process, ear: ear))
            }
            @Sendable func subject(_ port: UInt16) async throws -> String {
                try await SpawnedCommand.run([
                    "sh", "-c", "openssl s_client -connect 127.0.0.1:\(port) </dev/null 2>/dev/null | openssl x509 -noout -subject",
                ])
            }
            @Sendable func status(_ port: UInt16, origin: String) async throws -> String {
                let url = "https://127.0.0.1:\(port)/readyz"
                return try await SpawnedCommand.run(["curl", "-skD-", "-H", "Origin: \(origin)", url])
            }
            /// All of them have taken the file, or refused it.
            func hangUp(_ times: Int) async throws {
                for instance in instances { instance.process.signal(SIGHUP) }
                for instance in instances { try await instance.ear.hears("READY=1", times: times) }
            }
            for instance in instances {
                // Not before it serves.
                try await instance.ear.hears("READY=1")
                #expect(try await status(instance.port, origin: "x").contains(" 200 "))
                #expect(try await subject(instance.port).contains("CN = server"))
            }
            #expect(bench.output.contains("KEYVANE_WETHER"))

            // A certificate that is renewed is shown without a word from anybody; who is there already stays.
            let clients = instances.map { PatientClient(port: $0.port, folder: bench.folder) }
            for client in clients { try await client.connect(on: bench) }
            try install(.client)
            for instance in instances {
                _ = try await eventually("the new certificate") { try await subject(instance.port).contains("CN = client") ? true : nil }
            }
            for client in clients { try await client.ask() }

            // What can be taken over is; what can't is named.
            try write("logLevel: debug\norigins: https://a.example\nname: other\nloops: 1\nredis: redis://127.0.0.1:1", rate: "50")
            try await hangUp(2)
            #expect(
                try await status(instances[0].port, origin: "https://a.example").lowercased().contains("allow-origin: https://a.example")
            )
            _ = try await eventually("both say so") {
                bench.output.components(separatedBy: "These settings change with a restart only").count == 3 ? true : nil
            }
            #expect(bench.output.contains(#""changes":"loops""#), "\(bench.output.suffix(3000))")
            #expect(bench.output.contains(#""changes":"origins messageRate logLevel""#))
            #expect(bench.output.contains(#""level":"debug""#))

            // A file that can't be used changes nothing.
            try write("logLevel: info\norigins: nonsense", rate: "none")
            try await hangUp(3)
            #expect(
                bench.output.contains("Settings are refused; the old ones stay")
                    && bench.output.contains("messageRate (KEYVANE_MESSAGE_RATE")
            )
            #expect(
                try await status(instances[0].port, origin: "https://a.example").lowercased().contains("allow-origin: https://a.example")
            )
            #expect(!bench.output.contains("never-shown"))
            for instance in instances {
                let words = instance.ear.lines
                #expect(words == ["READY=1", "RELOADING=1", "READY=1", "RELOADING=1", "READY=1"])
                try await bench.stop(instance.process)
                try await instance.ear.hears("STOPPING=1")
            }
        }
    }
}

/// OpenSSL's own client: it connects, and asks later.
private struct PatientClient {
    let port: UInt16
    private let pipe: String
    private let output: String

    init(port: UInt16, folder: String) {
        self.port = port
        pipe = "\(folder)/\(port).in"
        output = "\(folder)/\(port).out"
    }

    func connect(on bench: ProcessBench) async throws {
        mkfifo(pipe, 0o600)
        let command = "cat '\(pipe)' | openssl s_client -ign_eof -nocommands -connect 127.0.0.1:\(port) >'\(output)' 2>&1"
        _ = try await bench.start(["-c", command], program: "sh")
        try await until("Verify return code")
    }

    func ask() async throws {
        try "GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".write(toFile: pipe, atomically: false, encoding: .utf8)
        try await until("HTTP/1.1 200")
    }

    private func until(_ words: String) async throws {
        let output = output
        _ = try await eventually("\(words) at port \(port)") {
            (try? String(contentsOfFile: output, encoding: .utf8))?.contains(words) == true ? true : nil
        }
    }
}
