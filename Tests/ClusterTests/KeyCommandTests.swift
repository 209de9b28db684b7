// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Reactor
import TestSupport
import Testing

extension ClusterSuite {
    /// The commands that reach the database by themselves, beside a running cluster.
    @Suite struct KeyCommandTests {
        private func key(_ id: String) async throws -> String {
            let made = try await DevProcess.run(["keys", "generate", "--id", id])
            #expect(made.exit == .code(0))
            return made.output.trimmingCharacters(in: .newlines)
        }

        @Test func keysAreRotatedBesideARunningClusterAndTheFirstTokenWorks() async throws {
            let folder = "/tmp/keyvane-tests-\(getpid())-\(UUID().uuidString.prefix(8))"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            defer { removeData(folder) }
            try await withCluster(in: folder) { cluster in
                _ = try await cluster.createEnvironment()
                try await cluster.put("API_KEY", "before", kind: "secrets")
            }
            let old = try #require(try Self.masterKeys(folder))
            let new = try await key("k2")
            // Everybody can open what the new key wraps.
            try Self.write(masterKeys: "\(old),\(new)", folder)
            try await withCluster(in: folder) { cluster in
                let keyFile = "\(folder)/keys"
                try Data("# the new one first\n\(new)\n\(old)\n".utf8).write(to: URL(fileURLWithPath: keyFile))
                let settings = ["KEYVANE_POSTGRES": try cluster.state.postgres.url, "KEYVANE_MASTER_KEYS_FILE": keyFile]

                let first = try await DevProcess.run(["keys", "rotate"], environment: settings)
                #expect(first.exit == .code(0) && first.output.contains("1 of 1 data keys are wrapped by master key 'k2', 1 of them"))
                let again = try await DevProcess.run(["keys", "rotate"], environment: settings)
                #expect(again.exit == .code(0) && again.output.contains("0 of them by this run"))
                try await cluster.put("API_KEY", "after", kind: "secrets")

                // With the old key alone: refused, with the remedy.
                let alone = settings.merging(["KEYVANE_MASTER_KEYS": old]) { $1 }
                let refused = try await DevProcess.run(["token", "create", "--root"], environment: alone)
                #expect(refused.exit == .code(1))
                #expect(refused.output.contains("'k2' (1 project)") && refused.output.contains("keyvane keys rotate"))

                let made = try await DevProcess.run(["token", "create", "--root", "--description", "of a test"], environment: settings)
                #expect(made.exit == .code(0))
                let token = try #require(made.output.split(separator: "\n").first { $0.hasPrefix("kv_") }.map(String.init))
                var rest = try cluster.rest
                rest.token = token
                let read = try await rest.call("GET", "\(Cluster.restPath)/secrets/API_KEY")
                #expect(read.status == 200 && read.text.contains("after"), "\(read.text)")
            }
            // The old key is gone.
            try Self.write(masterKeys: new, folder)
            try await withCluster(in: folder) { cluster in
                let read = try await cluster.rest.call("GET", "\(Cluster.restPath)/secrets/API_KEY")
                #expect(read.status == 200 && read.text.contains("after"), "\(read.text)")
                try await cluster.put("API_KEY", "last", kind: "secrets")
            }
        }

        @Test func wrongUseSaysWhatIsRight() async throws {
            let narrow = try await DevProcess.run(["token", "create"])
            #expect(narrow.exit == .code(2) && narrow.output.contains("--root"))
            let name = try await DevProcess.run(["keys", "generate", "--id", "K_1"])
            #expect(name.exit == .code(2) && name.output.contains("--id must be"))
            let nowhere = try await DevProcess.run(["keys", "rotate"], environment: ["KEYVANE_POSTGRES": "", "KEYVANE_MASTER_KEYS": ""])
            #expect(nowhere.exit == .code(2) && nowhere.output.contains("KEYVANE_POSTGRES"))
        }

        // MARK: What dev keeps

        private static func secrets(_ folder: String) -> URL { URL(fileURLWithPath: "\(folder)/data/secrets.json") }

        private static func masterKeys(_ folder: String) throws -> String? {
            try JSONDecoder().decode([String: String].self, from: Data(contentsOf: secrets(folder)))["masterKeys"]
        }

        private static func write(masterKeys: String, _ folder: String) throws {
            var members = try JSONDecoder().decode([String: String].self, from: Data(contentsOf: secrets(folder)))
            members["masterKeys"] = masterKeys
            try JSONEncoder().encode(members).write(to: secrets(folder))
        }
    }
}
