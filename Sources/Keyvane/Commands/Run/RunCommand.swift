// Keyvane
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import Glibc
import KeyvaneClient

/// `keyvane run`: a program with the configuration in its environment, started again when that changes.
struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Run a program with the live configuration as environment variables.",
        discussion: """
            When the configuration changes, the program is started again: SIGTERM, and SIGKILL after --grace, to its whole process group. With --signal it
            gets a signal instead, and with --render its files are made anew first. Otherwise it is as if you had started it yourself: arguments,
            standard input, signals and Ctrl-Z reach it, its exit code is ours, and it never outlives us.

              keyvane run -e demo/shop/production -- python3 app.py --port 8000
              keyvane run -e demo/shop/production --render nginx.template:/etc/nginx/nginx.conf --signal HUP -- nginx -g 'daemon off;'
              keyvane run -e demo/shop/production --offline-cache ~/.cache/keyvane/shop -- ./server
            """
    )

    @OptionGroup var options: ClientOptions
    @Option(help: "Only names that match: globs separated by commas.") var names: String?
    @Option(help: "A signal instead of a restart, such as HUP or USR1.") var signal: String?
    @Option(help: "TEMPLATE:FILE to make before the program learns of a change; may be repeated. Alone, the program is left running.")
    var render: [String] = []
    @Option(help: "How long changes are collected.") var debounce = "300ms"
    @Option(help: "How long the program may take to end before it is killed.") var grace = "10s"
    @Option(help: "A program that is still up then has applied its configuration.") var healthyAfter = "2s"
    @Option(help: "A file, encrypted with the token, to start from while the service is away.") var offlineCache: String?
    @Argument(parsing: .postTerminator, help: "The program and its arguments, after --.") var command: [String] = []

    func validate() throws {
        guard !command.isEmpty else { throw ValidationError("there is no program: write it after --, as in keyvane run -- ./server") }
        _ = try plan()
    }

    func run() async throws {
        let (client, environment) = try options.client()
        let supervisor = Supervisor(try plan())
        let input = supervisor.input
        let configurations = client.watch(
            environment,
            names: names.map { $0.split(separator: ",").map(String.init) } ?? [],
            acknowledges: true,
            offlineCache: offlineCache.map { OfflineCache(path: $0) },
            onInterruption: { input(.interrupted($0)) }
        )
        // Ends with this process at the latest: nothing waits for it.
        let feed = Task {
            do throws(ClientError) {
                for try await configuration in configurations { input(.configuration(configuration)) }
            } catch {
                input(.watchEnded(error))
            }
        }
        let code = try await supervisor.run { configurations.acknowledge($0, as: $1) }
        await configurations.flush()
        // Who is gone is counted no more: a writer that waits must be able to read the failure.
        if supervisor.hasReportedFailure { try await Task.sleep(for: .seconds(1)) }
        feed.cancel()
        Glibc.exit(code)
    }

    private func plan() throws -> Supervisor.Plan {
        let reaction: RunStateMachine.Reaction
        if let signal {
            guard let number = Self.signals[signal.uppercased().replacingOccurrences(of: "SIG", with: "")] else {
                throw ValidationError("--signal \(signal): there are \(Self.signals.keys.sorted().joined(separator: ", "))")
            }
            reaction = .signal(number)
        } else {
            reaction = render.isEmpty ? .restart : .none
        }
        return Supervisor.Plan(
            command: command,
            reaction: reaction,
            templates: try render.map(Self.file),
            debounce: try Self.duration(debounce, "--debounce"),
            grace: try Self.duration(grace, "--grace"),
            healthyAfter: try Self.duration(healthyAfter, "--healthy-after")
        )
    }

    private static let signals = [
        "HUP": SIGHUP, "INT": SIGINT, "QUIT": SIGQUIT, "USR1": SIGUSR1, "USR2": SIGUSR2, "TERM": SIGTERM, "WINCH": SIGWINCH,
    ]

    private static func file(_ text: String) throws -> RenderedFile {
        let parts = text.split(separator: ":", maxSplits: 1).map(String.init)
        guard parts.count == 2 else { throw ValidationError("--render \(text): write TEMPLATE:FILE") }
        return RenderedFile(template: parts[0], output: parts[1])
    }

    private static func duration(_ text: String, _ flag: String) throws -> Duration {
        guard let duration = Duration(reading: text) else { throw ValidationError("\(flag) \(text) is no duration: write 300ms or 10s") }
        return duration
    }
}
