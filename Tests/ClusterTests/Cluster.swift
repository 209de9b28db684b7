// Keyvane
// SPDX-License-Identifier: Apache-2.0

// The whole product as processes: `keyvane dev`, broken from outside while clients watch.
// Flows through: a cluster per test, lent by `withCluster`, its addresses and pids from the state file.
// Owner: the test; every process ends with the cluster's scope, and the data folder goes.
// Must hold: a test knows the cluster by its outside only: sockets, signals, files.

import Foundation
import Glibc
import Reactor
import TestSupport

/// A running `keyvane dev`.
struct Cluster: Sendable {
    struct State: Decodable, Sendable {
        struct Instance: Decodable, Sendable {
            let name: String
            let address: String
            let pid: Int32

            var port: UInt16 { address.split(separator: ":").last.flatMap { UInt16($0) } ?? 0 }
        }
        struct Backend: Decodable, Sendable {
            let url: String
            let pid: Int32?
        }
        struct Balancer: Decodable, Sendable {
            let pid: Int32
        }
        let url: String
        let token: String
        let console: String
        let admin: String
        let balancer: Balancer
        let apis: [Instance]
        let gateways: [Instance]
        let postgres: Backend
        let redis: Backend
    }

    static let environmentPath = "acme/web/production"
    static let restPath = "/v1/projects/acme/web/environments/production"

    let process: DevProcess
    let folder: String

    var state: State {
        get throws { try JSONDecoder().decode(State.self, from: Data(contentsOf: URL(fileURLWithPath: "\(folder)/state.json"))) }
    }

    /// REST through the balancer, with the root token.
    var rest: PlainHTTP {
        get throws {
            let state = try state
            return PlainHTTP(port: UInt16(URL(string: state.url)?.port ?? 0), token: state.token)
        }
    }

    /// Everything that dev and its children have printed.
    var output: String {
        get throws { String(decoding: try Data(contentsOf: URL(fileURLWithPath: "\(folder)/output.log")), as: UTF8.self) }
    }

    /// Makes `acme/web/production` and returns its UUID.
    func createEnvironment() async throws -> String {
        for (path, slug) in [
            ("/v1/workspaces", "acme"), ("/v1/workspaces/acme/projects", "web"), ("/v1/projects/acme/web/environments", "production"),
        ] {
            let answer = try await rest.call("POST", path, body: "{\"slug\":\"\(slug)\"}")
            guard answer.status == 201 else { throw DeadlinePassed("POST \(path): \(answer.status) \(answer.text)") }
        }
        struct Environment: Decodable { let id: String }
        let answer = try await rest.call("GET", Self.restPath)
        return try JSONDecoder().decode(Environment.self, from: Data(answer.body)).id
    }

    /// Writes a variable and returns the revision.
    @discardableResult
    func put(_ name: String, _ value: String, kind: String = "variables") async throws -> Int {
        let answer = try await rest.call("PUT", "\(Self.restPath)/\(kind)/\(name)", body: "{\"value\":\"\(value)\"}")
        guard answer.status == 200 || answer.status == 201, let revision = answer.fields["keyvane-revision"].flatMap({ Int($0) }) else {
            throw DeadlinePassed("PUT \(name): \(answer.status) \(answer.text)")
        }
        return revision
    }
}

/// The process itself; its standard output and error go to a file. A loop starts and reaps it.
final class DevProcess: Sendable {
    private let ended = Events<ChildExit>()
    let pid: Int32

    init(
        arguments: [String],
        program: String = DevProcess.program,
        environment: [String: String] = [:],
        output: String,
        on loop: Loop
    ) async throws {
        let variables = ProcessInfo.processInfo.environment.merging(environment) { _, own in own }
        let command = ["sh", "-c", "exec \"$0\" \"$@\" >>'\(output)' 2>&1", program] + arguments
        let ended = ended
        pid = try await loop.run {
            try ChildProcess.spawn(command, environment: variables, on: loop) { ended.emit($0) }.identifier
        }
    }

    /// The tests' own build of the product lies beside them.
    static let program: String = {
        let tests = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        return URL(fileURLWithPath: tests).deletingLastPathComponent().appendingPathComponent("keyvane").path
    }()

    func signal(_ number: Int32) {
        kill(pid, number)
    }

    var isRunning: Bool { ended.all.isEmpty }

    deinit {
        // A test that failed leaves nobody behind.
        if isRunning { kill(pid, SIGKILL) }
    }

    func exit(within limit: Duration) async throws -> ChildExit {
        try await ended.first(within: limit, "the end of keyvane dev")
    }

    /// Runs `keyvane` to its end, and returns how it ended and what it printed.
    static func run(_ arguments: [String], environment: [String: String] = [:]) async throws -> (exit: ChildExit, output: String) {
        let output = "/tmp/keyvane-tests-\(getpid())-\(UUID().uuidString.prefix(8)).log"
        defer { unlink(output) }
        let exit = try await LoopGroup.withLoops(count: 1) { group in
            let process = try await DevProcess(arguments: arguments, environment: environment, output: output, on: group.loops[0])
            return try await process.exit(within: .seconds(60))
        }
        return (exit, try String(contentsOfFile: output, encoding: .utf8))
    }
}

/// Lends a cluster that is ready, and ends it however `body` returns.
func withCluster(
    _ arguments: [String] = [],
    environment: [String: String] = [:],
    _ body: @Sendable (Cluster) async throws -> Void
) async throws {
    let folder = "/tmp/keyvane-tests-\(getpid())-\(UUID().uuidString.prefix(8))"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { removeData(folder) }
    try await withCluster(in: folder, arguments, environment: environment, body)
}

/// The same on a folder of the caller's, which stays.
func withCluster(
    in folder: String,
    _ arguments: [String] = [],
    environment: [String: String] = [:],
    _ body: @Sendable (Cluster) async throws -> Void
) async throws {
    try await LoopGroup.withLoops(count: 1) { group in
        try? FileManager.default.removeItem(atPath: "\(folder)/state.json")
        let process = try await DevProcess(
            arguments: [
                "dev", "--listen", "127.0.0.1:\(try freePort())", "--data", "\(folder)/data", "--state-file", "\(folder)/state.json",
            ] + arguments,
            environment: environment,
            output: "\(folder)/output.log",
            on: group.loops[0]
        )
        let cluster = Cluster(process: process, folder: folder)
        do {
            _ = try await eventually(within: .seconds(90), "the cluster's state file") { () -> Bool? in
                guard process.isRunning else { throw DeadlinePassed("keyvane dev ended: \(try cluster.output)") }
                return (try? cluster.state) == nil ? nil : true
            }
            try await body(cluster)
        } catch {
            await end(process)
            throw error
        }
        await end(process)
    }
}

private func end(_ process: DevProcess) async {
    guard process.isRunning else { return }
    process.signal(SIGTERM)
    if (try? await process.exit(within: .seconds(45))) == nil { process.signal(SIGKILL) }
}

/// The data folder, and PostgreSQL's, which lies elsewhere where root runs the tests.
func removeData(_ folder: String) {
    let postgres = "\(folder)/data/postgres"
    if let target = try? FileManager.default.destinationOfSymbolicLink(atPath: postgres) {
        try? FileManager.default.removeItem(at: URL(fileURLWithPath: target).deletingLastPathComponent())
    }
    try? FileManager.default.removeItem(atPath: folder)
}
