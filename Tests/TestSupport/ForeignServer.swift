// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Synchronization

/// A server that isn't ours, with a folder of its own, for as long as `withForeignServer` lends it.
///
/// A shell holds it: it kills the server when its standard input closes, which the kernel does for us however the test process ends.
package final class ForeignServer: Sendable {
    package let folder: String
    package let port: UInt16
    private let shell: SpawnedCommand
    private let lifeline: Int32

    private static let script = """
        trap '' INT TERM HUP
        log=$1
        shift
        "$@" >"$log" 2>&1 &
        echo $!
        cat >/dev/null
        kill -9 $! 2>/dev/null
        wait $!
        """

    fileprivate init(folder: String, port: UInt16, command: [String]) async throws {
        self.folder = folder
        self.port = port
        let pipe = try SpawnedCommand.pipe()
        lifeline = pipe.writing
        shell = try SpawnedCommand(["/bin/sh", "-c", Self.script, "foreign", folder + "/output.log"] + command, input: pipe.reading)
        close(pipe.reading)
        _ = await shell.output { $0.hasSuffix("\n") }
    }

    fileprivate func answers() async throws {
        do {
            _ = try await eventually("port \(port)") { [port] in (try? RawSocket(port: port)).map { _ in true } }
        } catch {
            let output = (try? String(contentsOfFile: folder + "/output.log", encoding: .utf8)) ?? ""
            throw DeadlinePassed("a server on port \(port); it says: \(output)")
        }
    }

    fileprivate func end() async {
        close(lifeline)
        // The shell ends after its server.
        _ = await shell.end()
    }
}

/// Writes what `configuration` makes of the server's folder and port to a file there, runs `command` with the file's path, and ends
/// all of it however the body returns.
package func withForeignServer<Value: Sendable>(
    configuration: @Sendable (_ folder: String, _ port: UInt16) -> String,
    command: @Sendable (_ file: String) -> [String],
    _ body: @Sendable (ForeignServer) async throws -> Value
) async throws -> Value {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("keyvane-foreign-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    // A server that became another user writes here too.
    chmod(folder, 0o777)
    let port = try RedisProcess.freePort()
    let file = folder + "/server.conf"
    try configuration(folder, port).write(toFile: file, atomically: true, encoding: .utf8)
    let server = try await ForeignServer(folder: folder, port: port, command: command(file))
    do {
        try await server.answers()
        let value = try await body(server)
        await server.end()
        return value
    } catch {
        await server.end()
        throw error
    }
}
