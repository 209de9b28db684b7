// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Starting a program in a process group of its own, as a shell starts a job.
///
/// Not Foundation's Process nor uv_spawn: neither makes a process group that stays in our session, and without it either the terminal's
/// Ctrl-C is lost or the program's own children can't be reached.
enum ProgramProcess {
    /// Starts it with our standard streams, default signal handling, and the terminal if we had it.
    ///
    /// - Throws: with the code that a shell would give: 127 where there is no such command, 126 where it can't be run.
    static func start(_ arguments: [String], environment: [String: String]) throws(StartError) -> pid_t {
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK))
        posix_spawnattr_setpgroup(&attributes, 0)
        var signals = sigset_t()
        sigfillset(&signals)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        let variables = environment.map { "\($0.key)=\($0.value)" }
        var pid: pid_t = 0
        let failure = withCStrings(arguments) { words in
            withCStrings(variables) { variables in posix_spawnp(&pid, arguments[0], nil, &attributes, words, variables) }
        }
        guard failure == 0 else { throw StartError(arguments[0], failure) }
        ForegroundTerminal.hand(to: pid)
        return pid
    }

    struct StartError: Error, CustomStringConvertible {
        let description: String
        let code: Int32

        init(_ command: String, _ number: Int32) {
            description = "\(command) can't be started: \(String(cString: strerror(number)))"
            code = number == ENOENT ? 127 : 126
        }
    }

    static func withCStrings<Result>(_ texts: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Result) -> Result {
        var pointers = texts.map { strdup($0) }
        defer { pointers.forEach { free($0) } }
        pointers.append(nil)
        return body(pointers)
    }
}

/// Who reads the terminal and gets its Ctrl-C.
enum ForegroundTerminal {
    /// Whether it was ours when we started: a job in the background takes nothing.
    private static let wasOurs = isatty(STDIN_FILENO) == 1 && tcgetpgrp(STDIN_FILENO) == getpgrp()

    static func hand(to group: pid_t) {
        guard wasOurs else { return }
        take(group)
        // It may have tried to read in between, and was stopped for it.
        kill(-group, SIGCONT)
    }

    static func takeBack() {
        guard wasOurs else { return }
        take(getpgrp())
    }

    /// Whoever is in the background is stopped for this, unless the signal is ignored.
    private static func take(_ group: pid_t) {
        let before = signal(SIGTTOU, SIG_IGN)
        tcsetpgrp(STDIN_FILENO, group)
        signal(SIGTTOU, before)
    }
}
