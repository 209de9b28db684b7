// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Reactor
import TestSupport
import Testing

@Suite struct ChildProcessTests {
    @Test func exitCodesAndSignalsAreToldApart() async throws {
        try await LoopGroup.withLoops(count: 1) { group in
            let exit = try await end(of: ["sh", "-c", "exit 7"], on: group.loops[0])
            #expect(exit == .code(7))
            let killed = try await end(of: ["sh", "-c", "kill -9 $$"], on: group.loops[0])
            #expect(killed == .signal(9))
        }
    }

    @Test func theEnvironmentIsExactlyWhatWasGiven() async throws {
        try await LoopGroup.withLoops(count: 1) { group in
            let script = "test \"$ONLY\" = this && test -z \"$HOME\""
            let exit = try await end(of: ["/bin/sh", "-c", script], environment: ["ONLY": "this"], on: group.loops[0])
            #expect(exit == .code(0))
        }
    }

    @Test func aMissingProgramIsAnErrorThatNamesIt() async throws {
        try await LoopGroup.withLoops(count: 1) { group in
            let error = await #expect(throws: ReactorError.self) {
                _ = try await end(of: ["no-such-program-here"], on: group.loops[0])
            }
            #expect(error?.message.contains("no-such-program-here") == true)
        }
    }

    @Test func aSignalReachesARunningChild() async throws {
        try await LoopGroup.withLoops(count: 1) { group in
            let loop = group.loops[0]
            let ended = Events<ChildExit>()
            try await loop.run {
                let child = try ChildProcess.spawn(["sleep", "1000"], environment: ["PATH": "/usr/bin:/bin"], on: loop) { ended.emit($0) }
                child.signal(SIGTERM)
            }
            let exit = try await ended.first()
            #expect(exit == .signal(SIGTERM))
        }
    }
}

private func end(of command: [String], environment: [String: String] = ["PATH": "/usr/bin:/bin"], on loop: Loop) async throws -> ChildExit {
    let ended = Events<ChildExit>()
    try await loop.run {
        _ = try ChildProcess.spawn(command, environment: environment, on: loop) { ended.emit($0) }
    }
    return try await ended.first("the end of \(command)")
}
