// Keyvane
// SPDX-License-Identifier: Apache-2.0

// `keyvane run`: a program that always runs with the newest configuration.
// Flows through: the watch, the child's end, signals and timers are events; `RunStateMachine` answers with actions; `Supervisor` does them.
// Owner: the supervisor, from the first configuration to the exit code.
// Must hold: never two children at once; no child outlives us, not even a kill -9; each revision is acknowledged by what came of it;
//   a child that ends by itself ends us with its code.

package import KeyvaneClient

/// Decides when the program is started, told, ended and started again. Knows no process, no clock and no socket.
package struct RunStateMachine {
    /// What a change does to a running program, once its files are rendered.
    package enum Reaction: Equatable {
        case restart
        case signal(Int32)
        case none
    }

    package enum Timer: Hashable {
        /// Changes that come together count as one.
        case debounce
        /// How long a program may take to end.
        case grace
        /// A program that is still up then is taken to be well.
        case healthy
    }

    package enum Action: Equatable {
        /// Make its environment and files ready; `prepared` or `preparationFailed` follows.
        case prepare(EnvironmentConfiguration)
        case start(EnvironmentConfiguration)
        /// To the program's whole process group.
        case signal(Int32)
        case schedule(Timer)
        case acknowledge(Int, AcknowledgementStatus)
        case finish(Int32)
    }

    private enum State {
        case waiting
        /// The first program's files are being made ready.
        case preparing
        case running(Running)
        /// It was told to end, so that its successor can start.
        case replacing(EnvironmentConfiguration)
        /// Somebody wants us to end; the program was told.
        case stopping
        case ended
    }

    private struct Running {
        /// What it runs with.
        var configuration: EnvironmentConfiguration
        var isHealthy = false
        /// What it should run with after the debounce.
        var next: EnvironmentConfiguration?
    }

    /// SIGTERM and SIGKILL.
    private static let terminate: Int32 = 15
    private static let kill: Int32 = 9

    private let reaction: Reaction
    private var state = State.waiting

    package init(_ reaction: Reaction) {
        self.reaction = reaction
    }

    package mutating func configurationArrived(_ new: EnvironmentConfiguration) -> [Action] {
        switch state {
        case .waiting:
            state = .preparing
            return [.prepare(new)]
        case .running(var running):
            if running.next == nil, new.values == running.configuration.values { return taken(new, running) }
            let isFirst = running.next == nil
            running.next = new
            state = .running(running)
            return isFirst ? [.schedule(.debounce)] : []
        case .replacing:
            state = .replacing(new)
            return []
        case .preparing, .stopping, .ended:
            return []
        }
    }

    /// The change is one that the program doesn't see.
    private mutating func taken(_ new: EnvironmentConfiguration, _ running: Running) -> [Action] {
        var running = running
        running.configuration = new
        running.next = nil
        state = .running(running)
        return running.isHealthy ? [.acknowledge(new.revision, .applied)] : []
    }

    package mutating func debounceElapsed() -> [Action] {
        guard case .running(let running) = state, let next = running.next else { return [] }
        // There and back again within the debounce.
        guard next.values != running.configuration.values else { return taken(next, running) }
        return [.prepare(next)]
    }

    /// There is nothing more to come: the token or the environment is gone. A program goes on with what it has.
    package mutating func watchEnded() -> [Action] {
        guard case .waiting = state else { return [] }
        state = .ended
        return [.finish(1)]
    }

    package mutating func prepared(_ configuration: EnvironmentConfiguration) -> [Action] {
        switch state {
        case .preparing:
            state = .running(Running(configuration: configuration))
            return [.start(configuration), .schedule(.healthy)]
        case .running(var running):
            // What came while this one was being prepared waits for a debounce of its own.
            let isNewest = running.next?.revision == configuration.revision
            let later: [Action] = isNewest ? [] : [.schedule(.debounce)]
            switch reaction {
            case .restart:
                state = .replacing(running.next ?? configuration)
                return [.signal(Self.terminate), .schedule(.grace)]
            case .signal(let number):
                running = Running(configuration: configuration, next: isNewest ? nil : running.next)
                state = .running(running)
                return [.signal(number), .schedule(.healthy)] + later
            case .none:
                running.configuration = configuration
                if isNewest { running.next = nil }
                state = .running(running)
                return (running.isHealthy ? [.acknowledge(configuration.revision, .applied)] : []) + later
            }
        case .waiting, .replacing, .stopping, .ended:
            return []
        }
    }

    /// The program goes on with what it has; without one there is nothing to go on with.
    package mutating func preparationFailed(_ configuration: EnvironmentConfiguration, _ problem: String) -> [Action] {
        let report = Action.acknowledge(configuration.revision, .failed(problem))
        switch state {
        case .preparing:
            state = .ended
            return [report, .finish(1)]
        case .running(var running):
            if running.next?.revision == configuration.revision { running.next = nil }
            state = .running(running)
            return [report] + (running.next == nil ? [] : [.schedule(.debounce)])
        case .waiting, .replacing, .stopping, .ended:
            return []
        }
    }

    package mutating func healthyElapsed() -> [Action] {
        guard case .running(var running) = state else { return [] }
        running.isHealthy = true
        state = .running(running)
        return [.acknowledge(running.configuration.revision, .applied)]
    }

    package mutating func childEnded(_ end: ChildEnd) -> [Action] {
        switch state {
        case .running(let running):
            state = .ended
            guard !running.isHealthy else { return [.finish(end.code)] }
            // A short job that went well has applied it.
            return [
                .acknowledge(running.configuration.revision, end == .exited(0) ? .applied : .failed("the program \(end)")),
                .finish(end.code),
            ]
        case .replacing(let next):
            state = .preparing
            return [.prepare(next)]
        case .stopping:
            state = .ended
            return [.finish(end.code)]
        case .waiting, .preparing, .ended:
            return []
        }
    }

    /// The command can't be started at all.
    package mutating func startFailed(_ problem: String, code: Int32) -> [Action] {
        guard case .running(let running) = state else { return [] }
        state = .ended
        return [.acknowledge(running.configuration.revision, .failed(problem)), .finish(code)]
    }

    package mutating func graceElapsed() -> [Action] {
        switch state {
        case .replacing: [.signal(Self.kill)]
        case .waiting, .preparing, .running, .stopping, .ended: []
        }
    }

    /// SIGTERM or SIGINT for us. The program gets it as it would without us, and takes the time it takes: nobody knows its drain.
    package mutating func stopRequested(_ number: Int32) -> [Action] {
        switch state {
        case .waiting, .preparing:
            state = .ended
            return [.finish(128 + number)]
        case .running, .replacing:
            state = .stopping
            return [.signal(number)]
        case .stopping:
            return [.signal(number)]
        case .ended:
            return []
        }
    }
}

/// How a process ended.
package enum ChildEnd: Equatable, CustomStringConvertible {
    case exited(Int32)
    case killed(Int32)

    /// As shells have it: a signal's number plus 128.
    package var code: Int32 {
        switch self {
        case .exited(let code): code
        case .killed(let signal): 128 + signal
        }
    }

    package var description: String {
        switch self {
        case .exited(let code): "exited with \(code)"
        case .killed(let signal): "was killed by signal \(signal)"
        }
    }
}
