// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Reactor
import TestSupport

/// Somebody at a shell: the real command, against a running cluster, with a home folder of their own.
struct Operator: Sendable {
    let cluster: Cluster
    let home: String

    init(_ cluster: Cluster) throws {
        self.cluster = cluster
        home = "\(cluster.folder)/home"
        try FileManager.default.createDirectory(atPath: home, withIntermediateDirectories: true)
    }

    var variables: [String: String] {
        get throws {
            let state = try cluster.state
            return [
                "KEYVANE_URL": state.url, "KEYVANE_TOKEN": state.token, "KEYVANE_ENVIRONMENT": Cluster.environmentPath, "HOME": home,
                "XDG_CONFIG_HOME": "",
            ]
        }
    }

    /// What the command printed, both streams together.
    /// - Throws: where it ends with another code.
    @discardableResult
    func keyvane(_ arguments: String..., ends code: Int32 = 0, with changes: [String: String] = [:]) async throws -> String {
        let ran = try await DevProcess.run(arguments, environment: try variables.merging(changes) { $1 })
        guard ran.exit == .code(code) else {
            throw DeadlinePassed("keyvane \(arguments.joined(separator: " ")): \(ran.exit): \(ran.output)")
        }
        return ran.output
    }

    func write(_ name: String, _ text: String) throws -> String {
        let path = "\(home)/\(name)"
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        return path
    }

    /// A command that stays; `output` grows while it runs.
    func start(_ arguments: String..., with changes: [String: String] = [:], on loop: Loop) async throws -> Running {
        let output = "\(home)/\(UUID().uuidString.prefix(8)).log"
        let process = try await DevProcess(
            arguments: arguments,
            environment: try variables.merging(changes) { $1 },
            output: output,
            on: loop
        )
        return Running(process: process, path: output)
    }

    struct Running: Sendable {
        let process: DevProcess
        let path: String

        var output: String { (try? String(contentsOfFile: path, encoding: .utf8)) ?? "" }
        var lines: [String] { output.split(separator: "\n").map(String.init) }

        func prints(_ text: String) async throws {
            _ = try await eventually(within: .seconds(30), "'\(text)' in \(output)") { output.contains(text) ? true : nil }
        }
    }
}
