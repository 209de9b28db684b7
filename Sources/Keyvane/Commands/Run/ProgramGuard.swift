// Keyvane
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import Glibc

/// A process beside us that ends the program's process group when we are gone, however we went.
///
/// It learns the group through a pipe whose other end only we hold: the kernel closes it with us, a kill -9 included.
struct ProgramGuard {
    private let pipe: FileHandle
    let process: pid_t

    /// - Throws: where no process can be started.
    static func start(grace: Duration) throws -> ProgramGuard {
        var ends: [Int32] = [0, 0]
        guard Glibc.pipe(&ends) == 0 else { throw RunError("no pipe can be made: \(String(cString: strerror(errno)))") }
        // The program must not hold the writing end: then it would never be closed.
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        let reading = FileHandle(fileDescriptor: ends[0], closeOnDealloc: true)
        let writing = FileHandle(fileDescriptor: ends[1], closeOnDealloc: true)
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, reading.fileDescriptor, STDIN_FILENO)
        var process: pid_t = 0
        let arguments = ["keyvane", GuardCommand.name, "\(grace.components.seconds)"]
        let failure = ProgramProcess.withCStrings(arguments) { posix_spawn(&process, "/proc/self/exe", &actions, nil, $0, environ) }
        guard failure == 0 else { throw RunError("the program's guard can't be started: \(String(cString: strerror(failure)))") }
        return ProgramGuard(pipe: writing, process: process)
    }

    /// The group to end; 0 for none.
    func watch(_ group: pid_t) {
        // A guard that was killed leaves the program as it would be without one.
        try? pipe.write(contentsOf: Data("\(group)\n".utf8))
    }
}

/// The guard's own process; not for people.
struct GuardCommand: ParsableCommand {
    static let name = "guard-of-run"
    static let configuration = CommandConfiguration(
        commandName: name,
        abstract: "Ends a program whose supervisor is gone.",
        shouldDisplay: false
    )

    @Argument var grace: Int

    func run() {
        // Out of the reach of whatever ends our supervisor's session or group.
        setsid()
        for number in [SIGINT, SIGTERM, SIGHUP] { signal(number, SIG_IGN) }
        var group: pid_t = 0
        while let line = readLine() { group = pid_t(line) ?? 0 }
        guard group > 1, kill(-group, SIGTERM) == 0 else { return }
        for _ in 0..<max(1, grace * 20) {
            usleep(50_000)
            guard kill(-group, 0) == 0 else { return }
        }
        kill(-group, SIGKILL)
    }
}
