// Keyvane
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import Glibc
import Logging
import Notifier
import Reactor

/// `keyvane dev`: the whole cluster on this machine.
struct DevCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dev",
        abstract: "Run the whole cluster on this machine: PostgreSQL, Redis, APIs, gateways, balancer.",
        discussion: """
            Every part is a process of its own; a dead one is started again. Ctrl-C ends everything; the data stays.

              keyvane dev
              keyvane dev --demo
            """
    )

    @Option(help: "The balancer's address.") var listen = "127.0.0.1:8080"
    @Option(help: "Folder of the databases and their secrets. Default: one per user.") var data: String?
    @Option(help: "API processes.") var apis = 2
    @Option(help: "Gateway processes.") var gateways = 3
    @Option(help: "Use this PostgreSQL instead of a private one.") var postgres: String?
    @Option(help: "Use this Redis instead of a private one.") var redis: String?
    @Option(help: "File that gets addresses, pids and the token as JSON once everything is ready.") var stateFile: String?
    @Flag(help: "Show a change arriving on every gateway, through a stopped Redis and a killed gateway, then exit.") var demo = false

    func validate() throws {
        guard (1...32).contains(apis) else { throw ValidationError("--apis takes 1 to 32, not \(apis)") }
        guard (1...32).contains(gateways) else { throw ValidationError("--gateways takes 1 to 32, not \(gateways)") }
        guard !demo || gateways > 1 else { throw ValidationError("--demo kills a gateway, so it needs at least two: --gateways 2") }
        guard !listen.hasPrefix("unix:") else { throw ValidationError("--listen takes HOST:PORT here") }
        do throws(NotifierError) {
            // A part that can't start would be started again for ever.
            if let redis { _ = try RedisEndpoint(parsing: redis) }
        } catch {
            throw ValidationError("--redis: \(error.message)")
        }
    }

    func run() async throws {
        Logs.bootstrap(asJSON: isatty(STDERR_FILENO) == 0, level: .warning)
        // What the parts have to say in good times is of no use here, and in a demonstration their bad times are the point.
        var environment = ProcessInfo.processInfo.environment.merging(["KEYVANE_LOG_LEVEL": demo ? "error" : "warning"]) { given, _ in given
        }
        // A service manager's words to this process are none for its parts.
        for variable in ServiceManager.variables { environment[variable] = nil }
        let path = URL(fileURLWithPath: data ?? DataFolder.standardPath(environment: environment)).standardizedFileURL.path
        let folder = try DataFolder(path: path)
        let plan = DevCluster.Plan(
            listen: try Endpoint(parsing: listen),
            apis: apis,
            gateways: gateways,
            postgresURL: postgres,
            redisURL: redis,
            program: try Self.ownProgram(),
            environment: environment
        )
        // An address that is taken must be an error of ours, not a balancer that dies again and again.
        _ = try ListenSocket.open(plan.listen)
        try await LoopGroup.withLoops(count: 1, name: "dev") { group in
            let processes = ProcessGroup(loop: group.loops[0], logger: Logger(label: "dev"))
            let signals = try await Signals.watch(Signals.stop, on: group.loops[0])
            Terminal.line("Starting PostgreSQL, Redis, \(apis) APIs, \(gateways) gateways and the balancer …")
            let cluster = try await DevCluster.start(plan, in: folder, processes: processes)
            let outcome = await Task { try await serve(cluster, program: plan.program, until: signals) }.result
            Terminal.line("Stopping …")
            await cluster.stop()
            try outcome.get()
        }
    }

    /// Returns at the first stop signal, or at the end of the demo.
    private func serve(_ cluster: DevCluster, program: String, until signals: AsyncStream<Int32>) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { for await _ in signals { return } }
            let (readiness, ready) = AsyncStream.makeStream(of: Void.self)
            group.addTask {
                for await _ in readiness {}
                for await _ in cluster.processes.restarted {
                    // With another part down just now, that one's restart writes the file.
                    guard let state = await cluster.state() else { continue }
                    do { try write(state) } catch { Terminal.note("keyvane: \(error)") }
                }
            }
            group.addTask {
                try await cluster.waitUntilReady(within: .seconds(60))
                if let state = await cluster.state() { try write(state) }
                ready.finish()
                if demo {
                    try await Demo(cluster: cluster).run()
                } else {
                    DevBanner(cluster: cluster, program: Self.shortest(program)).show()
                    // Until a signal: this task's end would be the cluster's.
                    try await Task.sleep(for: .seconds(Int32.max))
                }
            }
            try await group.next()
            group.cancelAll()
        }
    }

    private func write(_ state: DevState) throws {
        if let stateFile { try state.write(to: stateFile) }
    }

    /// The name alone where PATH leads to this very program, else its path, from here if it lies below.
    private static func shortest(_ program: String) -> String {
        let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
        let found = folders.map { URL(fileURLWithPath: "\($0)/keyvane") }.first { FileManager.default.isExecutableFile(atPath: $0.path) }
        if found?.resolvingSymlinksInPath().path == program { return "keyvane" }
        let here = FileManager.default.currentDirectoryPath + "/"
        guard program.hasPrefix(here) else { return program }
        let below = program.dropFirst(here.count)
        return below.contains("/") ? String(below) : "./\(below)"
    }

    private static func ownProgram() throws -> String {
        guard let path = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe") else {
            throw SettingsError("/proc/self/exe can't be read: keyvane dev needs /proc to start its own program")
        }
        return path
    }
}
