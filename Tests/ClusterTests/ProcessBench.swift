// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Reactor
import Synchronization
import TestSupport
import Testing

/// A folder, and processes of `keyvane` started one by one. Those that still run at the end of `with` are killed.
final class ProcessBench: Sendable {
    let folder: String
    let loop: Loop
    private let processes = Mutex<[DevProcess]>([])

    private init(folder: String, loop: Loop) {
        self.folder = folder
        self.loop = loop
    }

    static func with(_ body: @Sendable (ProcessBench) async throws -> Void) async throws {
        let folder = "/tmp/keyvane-tests-\(getpid())-\(UUID().uuidString.prefix(8))"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { removeData(folder) }
        try await LoopGroup.withLoops(count: 1) { group in
            let bench = ProcessBench(folder: folder, loop: group.loops[0])
            defer {
                for process in bench.processes.withLock({ $0 }) where process.isRunning { process.signal(SIGKILL) }
            }
            try await body(bench)
        }
    }

    /// The balancers' configuration.
    var file: String { "\(folder)/balancer.yaml" }

    /// Of all processes.
    var output: String { (try? String(contentsOfFile: "\(folder)/output.log", encoding: .utf8)) ?? "" }

    func write(_ text: String, to name: String = "balancer.yaml") throws {
        try Data(text.utf8).write(to: URL(fileURLWithPath: "\(folder)/\(name)"), options: .atomic)
    }

    func start(
        _ arguments: [String],
        program: String = DevProcess.program,
        environment: [String: String] = [:]
    ) async throws -> DevProcess {
        let process = try await DevProcess(
            arguments: arguments,
            program: program,
            environment: environment,
            output: "\(folder)/output.log",
            on: loop
        )
        processes.withLock { $0.append(process) }
        return process
    }

    func stop(_ process: DevProcess) async throws {
        process.signal(SIGTERM)
        #expect(try await process.exit(within: .seconds(40)) == .code(0), "\(output.suffix(2000))")
    }

    /// Until somebody answers there that it is alive, or ready.
    func until(_ path: String, _ port: UInt16) async throws {
        do {
            _ = try await eventually(within: .seconds(60), "\(path) on port \(port)") { () -> Bool? in
                (try? await PlainHTTP(port: port).call("GET", path))?.status == 200 ? true : nil
            }
        } catch {
            throw DeadlinePassed("\(error): \(output.suffix(2000))")
        }
    }
}
