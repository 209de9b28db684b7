// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc

/// A child process with a pipe as its standard output. Every descriptor is close-on-exec: one child never keeps another one's pipe open.
/// Foundation's `Process` is not used for these: started from many tests at a time, `run()` crashed now and then.
package struct SpawnedCommand {
    let process: pid_t
    /// Reads the child's standard output; closed by `output`.
    let reading: Int32

    /// `input` becomes the child's standard input; without it, that is empty.
    init(_ arguments: [String], input: Int32? = nil) throws {
        let ends = try Self.pipe()
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        if let input {
            posix_spawn_file_actions_adddup2(&actions, input, 0)
        } else {
            posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        }
        posix_spawn_file_actions_adddup2(&actions, ends.writing, 1)
        posix_spawn_file_actions_adddup2(&actions, ends.writing, 2)
        // A descriptor that somebody else left inheritable must not get into a database that outlives the test.
        for number: Int32 in 3..<1024 { posix_spawn_file_actions_addclose(&actions, number) }
        var words = arguments.map { strdup($0) }
        defer { words.forEach { free($0) } }
        words.append(nil)
        var process = pid_t()
        let status = posix_spawnp(&process, arguments[0], &actions, nil, words, environ)
        close(ends.writing)
        guard status == 0 else {
            close(ends.reading)
            throw PostgresServer.Failure(description: "\(arguments[0]): \(String(cString: strerror(status)))")
        }
        self.process = process
        reading = ends.reading
    }

    static func pipe() throws -> (reading: Int32, writing: Int32) {
        var ends: [Int32] = [0, 0]
        guard Glibc.pipe(&ends) == 0 else { throw PostgresServer.Failure(description: "no pipe: \(String(cString: strerror(errno)))") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        return (ends[0], ends[1])
    }

    /// Reads until `isEnough` or the end, on a thread that may block.
    func output(until isEnough: @escaping @Sendable (String) -> Bool = { _ in false }) async -> String {
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                var bytes: [UInt8] = []
                var buffer = [UInt8](repeating: 0, count: 64 * 1024)
                while case let count = read(reading, &buffer, buffer.count), count > 0 {
                    bytes.append(contentsOf: buffer[..<count])
                    if isEnough(String(decoding: bytes.suffix(16), as: UTF8.self)) { break }
                }
                close(reading)
                continuation.resume(returning: String(decoding: bytes, as: UTF8.self))
            }
        }
    }

    /// Waits until it has ended, and says how.
    func end() async -> Int32 {
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                var status: Int32 = 0
                while waitpid(process, &status, 0) < 0, errno == EINTR {}
                continuation.resume(returning: status)
            }
        }
    }

    /// Runs a command to its end.
    /// - Throws: what it printed, where its exit code isn't 0.
    @discardableResult
    package static func run(_ arguments: [String]) async throws -> String {
        let command = try SpawnedCommand(arguments)
        let text = await command.output()
        let code = await command.end()
        guard code == 0 else { throw PostgresServer.Failure(description: "\(arguments[0]): \(text)") }
        return text
    }
}
