// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Commands: HAProxy's runtime interface on a Unix socket, for scripts that speak it already.
// Flows through: a line -> `CommandLine` (commands and words) -> `CommandInterpreter` -> a text in HAProxy's format, and an empty line.
// Owner: the control loop's sweep holds a session until its connection is gone.
// Must hold: texts are HAProxy 2.6's, byte for byte where they can be; without `prompt` a session ends with its first lines.

import Reactor
import Wire

/// One client of the admin socket. Confined to the control loop. Who may connect is decided by the socket's mode, 660.
final class CommandSession: ConnectionHandler, Timed {
    /// HAProxy's buffer; a longer line is no command.
    private static let longestLine = 16 * 1024

    private let connection: Connection
    private let host: BalancerLoop
    private let interpreter: CommandInterpreter
    private var buffer: [UInt8] = []
    private var hasRun = false
    private var isInteractive = false
    private var isDone = false
    var sweepSlot = DeadlineSweep.noSlot

    init(_ connection: Connection, host: BalancerLoop, desk: AdminDesk) {
        self.connection = connection
        self.host = host
        interpreter = CommandInterpreter(desk)
    }

    func start() {
        host.sweep.add(self, deadline: host.deadline(in: host.times.clientIdle))
        connection.start(self)
    }

    func close() {
        connection.close()
    }

    func deadlinePassed() {
        connection.close()
    }

    func connection(_ connection: Connection, received bytes: Span<UInt8>) {
        guard !isDone else { return }
        host.sweep.set(self, deadline: host.deadline(in: host.times.clientIdle))
        buffer.append(bytes)
        while !isDone, let end = buffer.firstIndex(of: 0x0A) {
            let line = String(decoding: buffer[..<end], as: UTF8.self)
            buffer.removeFirst(end + 1)
            run(CommandLine(line))
        }
        guard !isDone else { return }
        if buffer.count > Self.longestLine { end() }
        // What came in one piece is answered in one; then a session without a prompt is over.
        if hasRun, !isInteractive { end() }
    }

    private func run(_ line: CommandLine) {
        hasRun = true
        for words in line.commands where !isDone {
            switch interpreter.run(words) {
            case .text(let text):
                say(text)
            case .togglePrompt:
                isInteractive.toggle()
                say("")
            case .quit:
                end()
            }
        }
    }

    private func say(_ text: String) {
        connection.write(Array("\(text)\n\(isInteractive ? "> " : "")".utf8))
    }

    private func end() {
        isDone = true
        buffer = []
        connection.closeWhenFlushed()
    }

    func connectionReachedEnd(_ connection: Connection) {
        end()
    }

    func connectionDrained(_ connection: Connection) {}

    func connectionClosed(_ connection: Connection, _ reason: CloseReason) {
        host.sweep.remove(self)
    }
}
