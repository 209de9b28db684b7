// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Reactor
import TestSupport
import Testing

extension ClusterSuite {
    /// `keyvane run` as whoever runs services would break it.
    @Suite struct RunTests {
        @Test func programsFollowTheConfiguration() async throws {
            try await withCluster { cluster in
                _ = try await cluster.createEnvironment()
                try await cluster.put("COLOR", "red")
                let shell = try Operator(cluster)
                try await LoopGroup.withLoops(count: 1) { group in
                    try await restarts(shell, group.loops[0])
                    try await transparency(shell, group.loops[0])
                    try await orphans(shell, group.loops[0])
                    try await withoutGuard(shell, group.loops[0])
                    try await signals(shell, group.loops[0])
                    try await failures(shell, group.loops[0])
                    try await revocation(shell, group.loops[0])
                }
            }
        }

        @Test func aProgramStartsFromItsCacheWhileTheServiceIsAway() async throws {
            try await withCluster { cluster in
                _ = try await cluster.createEnvironment()
                try await cluster.put("COLOR", "red", kind: "secrets")
                let shell = try Operator(cluster)
                let cache = "\(shell.home)/cache"
                #expect(try await shell.keyvane("run", "--offline-cache", cache, "--", "sh", "-c", "echo $COLOR") == "red\n")
                let bytes = try Data(contentsOf: URL(fileURLWithPath: cache))
                #expect(bytes.range(of: Data("COLOR".utf8)) == nil)
                #expect(try FileManager.default.attributesOfItem(atPath: cache)[.posixPermissions] as? Int == 0o600)
                let away = ["KEYVANE_URL": "http://127.0.0.1:\(try freePort())"]
                let offline = try await shell.keyvane("run", "--offline-cache", cache, "--", "sh", "-c", "echo $COLOR", with: away)
                #expect(offline.hasSuffix("\nred\n") && offline.contains("can't be reached"))
                // Another token opens nothing: it waits for the service.
                let stranger = away.merging(["KEYVANE_TOKEN": "kv_00000000_" + String(repeating: "a", count: 43)]) { $1 }
                try await LoopGroup.withLoops(count: 1) { group in
                    let waiting = try await shell.start(
                        "run",
                        "--offline-cache",
                        cache,
                        "--",
                        "echo",
                        "started",
                        with: stranger,
                        on: group.loops[0]
                    )
                    try await waiting.prints("can't be reached")
                    waiting.process.signal(SIGTERM)
                    #expect(try await waiting.process.exit(within: .seconds(20)) == .code(143))
                    #expect(!waiting.output.contains("started"))
                }
            }
        }

        /// Changes that come together are one restart, writers learn that it was applied, and the environment is exact.
        private func restarts(_ shell: Operator, _ loop: Loop) async throws {
            let program = try await shell.start(
                "run",
                "--healthy-after",
                "300ms",
                "--",
                "sh",
                "-c",
                "echo \"$COLOR $SHAPE $1\"; exec sleep 600",
                "sh",
                "two  words",
                on: loop
            )
            try await program.prints("red  two  words")
            try await isCounted(shell)
            let path = "\(Cluster.restPath)/configuration?wait=applied&timeout=20s"
            let answer = try await shell.cluster.rest.call(
                "PATCH",
                path,
                body: "{\"set\":[{\"name\":\"COLOR\",\"value\":\"blue\"},{\"name\":\"SHAPE\",\"value\":\"a\\nb\"}]}"
            )
            #expect(answer.text.contains("\"applied\":{\"acknowledging\":1,\"applied\":1,\"failed\":0"), "\(answer.text)")
            try await program.prints("blue a\nb two  words")
            for color in ["green", "black", "white"] { try await shell.cluster.put("COLOR", color) }
            try await program.prints("white a\nb")
            #expect(!program.output.contains("green") || !program.output.contains("black"))
            program.process.signal(SIGTERM)
            #expect(try await program.process.exit(within: .seconds(20)) == .code(143))
        }

        /// Arguments, standard input, exit codes.
        private func transparency(_ shell: Operator, _ loop: Loop) async throws {
            for code in [0, 3, 77] { try await shell.keyvane("run", "--", "sh", "-c", "exit \(code)", ends: Int32(code)) }
            try await shell.keyvane("run", "--", "sh", "-c", "kill -SEGV $$", ends: 139)
            #expect(try await shell.keyvane("run", "--", "/no/such/program", ends: 127).contains("/no/such/program"))
            #expect(try await shell.keyvane("run", "--", "/etc/passwd", ends: 126).contains("/etc/passwd"))
            #expect(try await shell.keyvane("run", ends: 2).contains("keyvane run -- "))
            let environment = try shell.variables.map { "\($0.key)=\($0.value)" }
            let piped = try await SpawnedCommand.run(
                ["env"] + environment + ["sh", "-c", "echo typed | '\(DevProcess.program)' run -- cat"]
            )
            #expect(piped == "typed\n")
            // Its own drain is the program's business: no grace of ours cuts it.
            let draining = try await shell.start(
                "run",
                "--grace",
                "100ms",
                "--",
                "sh",
                "-c",
                "trap 'sleep 2; echo drained; exit 5' TERM; echo up; while :; do sleep 0.1; done",
                on: loop
            )
            try await draining.prints("up")
            draining.process.signal(SIGTERM)
            #expect(try await draining.process.exit(within: .seconds(20)) == .code(5))
            #expect(draining.output.contains("drained"))
        }

        /// A kill -9 leaves nobody behind, and a restart neither.
        private func orphans(_ shell: Operator, _ loop: Loop) async throws {
            let script = "trap '' TERM; sleep 601 & echo \"pids $$ $!\"; wait; wait"
            let program = try await shell.start("run", "--grace", "1s", "--", "sh", "-c", script, on: loop)
            try await program.prints("pids")
            let first = try pids(program)
            try await shell.cluster.put("COLOR", "orphans")
            _ = try await eventually(within: .seconds(30), "a second program") {
                program.lines.count { $0.hasPrefix("pids") } == 2 ? true : nil
            }
            _ = try await eventually(within: .seconds(30), "the end of the first program") { first.allSatisfy(Self.isGone) ? true : nil }
            let second = try pids(program)
            program.process.signal(SIGKILL)
            _ = try await eventually(within: .seconds(30), "the end of everybody") { second.allSatisfy(Self.isGone) ? true : nil }
        }

        /// Somebody kills the guard: restarts and the exit code are as before.
        private func withoutGuard(_ shell: Operator, _ loop: Loop) async throws {
            let program = try await shell.start(
                "run",
                "--",
                "sh",
                "-c",
                "echo \"up $COLOR\"; trap 'exit 6' USR1; while :; do sleep 0.1; done",
                on: loop
            )
            try await program.prints("up orphans")
            let all = try FileManager.default.contentsOfDirectory(atPath: "/proc").compactMap { Int32($0) }
            let guards = all.filter { pid in
                let stat = (try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8)) ?? ""
                let isChild = stat.split(separator: ")").last?.split(separator: " ").dropFirst().first == "\(program.process.pid)"
                return isChild && (try? String(contentsOfFile: "/proc/\(pid)/cmdline", encoding: .utf8))?.contains("guard-of-run") == true
            }
            #expect(guards.count == 1)
            for pid in guards { kill(pid, SIGKILL) }
            try await shell.cluster.put("COLOR", "guardless")
            try await program.prints("up guardless")
            program.process.signal(SIGUSR1)
            #expect(try await program.process.exit(within: .seconds(20)) == .code(6))
            try await shell.cluster.put("COLOR", "orphans")
        }

        /// A signal instead of a restart, after the files are made.
        private func signals(_ shell: Operator, _ loop: Loop) async throws {
            let template = try shell.write("run.template", "color {{ COLOR|required }}\n")
            let file = "\(shell.home)/run.conf"
            let program = try await shell.start(
                "run",
                "--render",
                "\(template):\(file)",
                "--signal",
                "HUP",
                "--",
                "sh",
                "-c",
                "trap 'cat \(file)' HUP; cat \(file); while :; do sleep 0.1; done",
                on: loop
            )
            try await program.prints("color orphans")
            try await shell.cluster.put("COLOR", "signals")
            try await program.prints("color signals")
            _ = try await shell.keyvane("unset", "COLOR")
            try await program.prints("is not used")
            #expect(try String(contentsOfFile: file, encoding: .utf8) == "color signals\n")
            try await shell.cluster.put("COLOR", "again")
            try await program.prints("color again")
            program.process.signal(SIGKILL)
            _ = try await program.process.exit(within: .seconds(20))
        }

        /// A program that doesn't survive a change is reported, and the writer learns why.
        private func failures(_ shell: Operator, _ loop: Loop) async throws {
            let program = try await shell.start(
                "run",
                "--",
                "sh",
                "-c",
                "[ \"$COLOR\" != bad ] || exit 9; echo up; exec sleep 600",
                on: loop
            )
            try await program.prints("up")
            try await isCounted(shell)
            let path = "\(Cluster.restPath)/variables/COLOR?wait=applied&timeout=20s"
            let answer = try await shell.cluster.rest.call("PUT", path, body: "{\"value\":\"bad\"}")
            #expect(answer.text.contains("\"failed\":1"), "\(answer.text)")
            #expect(try await program.process.exit(within: .seconds(20)) == .code(9))
        }

        /// Without its token it gets no changes any more, and that is no reason to end.
        private func revocation(_ shell: Operator, _ loop: Loop) async throws {
            struct Made: Decodable {
                let id: String
                let token: String
            }
            let answer = try await shell.keyvane("token", "create", "--grant", "\(Cluster.environmentPath):read", "--json")
            let made = try JSONDecoder().decode(Made.self, from: Data(answer.utf8))
            let program = try await shell.start(
                "run",
                "--",
                "sh",
                "-c",
                "echo up; exec sleep 600",
                with: ["KEYVANE_TOKEN": made.token],
                on: loop
            )
            try await program.prints("up")
            try await shell.keyvane("token", "revoke", made.id)
            try await program.prints("the program goes on")
            program.process.signal(SIGTERM)
            #expect(try await program.process.exit(within: .seconds(20)) == .code(143))
            #expect(program.lines.count { $0 == "up" } == 1)
        }

        /// Writers know of it as one that acknowledges.
        private func isCounted(_ shell: Operator) async throws {
            _ = try await eventually(within: .seconds(30), "its place among the watchers") {
                let answer = try await shell.cluster.rest.call("GET", "\(Cluster.restPath)/watchers")
                return answer.text.contains("\"acknowledging\":1") ? true : nil
            }
        }

        /// Ended, or ended and not yet reaped by whoever inherited it.
        private static func isGone(_ pid: Int32) -> Bool {
            guard let status = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8) else { return true }
            return status.split(separator: ")").last?.hasPrefix(" Z") == true
        }

        private func pids(_ program: Operator.Running) throws -> [Int32] {
            let line = try #require(program.lines.last { $0.hasPrefix("pids") })
            return line.split(separator: " ").dropFirst().compactMap { Int32($0) }
        }
    }
}
