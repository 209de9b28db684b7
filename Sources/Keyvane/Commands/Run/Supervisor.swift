// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Foundation
import Glibc
import KeyvaneClient

/// Does what `RunStateMachine` decides. Everything that happens comes through one stream, one event after the other.
final class Supervisor {
    struct Plan: Sendable {
        let command: [String]
        let reaction: RunStateMachine.Reaction
        let templates: [RenderedFile]
        let debounce: Duration
        let grace: Duration
        let healthyAfter: Duration
    }

    enum Event: Sendable {
        case configuration(EnvironmentConfiguration)
        /// The service can't be reached, and is tried again.
        case interrupted(WatchInterruption)
        case child(ChildWatch.Event)
        case timer(RunStateMachine.Timer, generation: Int)
        case signal(Int32)
        /// The watch has ended for good.
        case watchEnded(ClientError)
    }

    private let plan: Plan
    private let events: AsyncStream<Event>
    private let report: AsyncStream<Event>.Continuation
    private var machine: RunStateMachine
    private var programGuard: ProgramGuard?
    /// Nil while there is none.
    private var program: pid_t?
    private var group: pid_t?
    private var generations: [RunStateMachine.Timer: Int] = [:]
    private var code: Int32?
    /// Whether a revision was acknowledged as failed.
    private(set) var hasReportedFailure = false
    /// Told once, until there is news again.
    private var isInterrupted = false
    private var acknowledge: (Int, AcknowledgementStatus) -> Void = { _, _ in }

    init(_ plan: Plan) {
        self.plan = plan
        machine = RunStateMachine(plan.reaction)
        // Configurations are merged by the watch before they come here; all others are rare.
        (events, report) = AsyncStream.makeStream(of: Event.self, bufferingPolicy: .unbounded)
    }

    /// Where configurations and the watch's end are reported.
    var input: @Sendable (Event) -> Void {
        { [report] in report.yield($0) }
    }

    /// Runs until the program has ended for good; the exit code.
    func run(acknowledge: @escaping (Int, AcknowledgementStatus) -> Void) async throws -> Int32 {
        self.acknowledge = acknowledge
        let signals = forwardedSignals()
        defer { signals.forEach { $0.cancel() } }
        programGuard = try ProgramGuard.start(grace: plan.grace)
        ChildWatch.begin { [report] in report.yield(.child($0)) }
        for await event in events {
            perform(actions(of: event))
            if let code {
                ForegroundTerminal.takeBack()
                return code
            }
        }
        return 1
    }

    private func actions(of event: Event) -> [RunStateMachine.Action] {
        switch event {
        case .configuration(let configuration):
            isInterrupted = false
            return machine.configurationArrived(configuration)
        case .interrupted(let interruption):
            if !isInterrupted { Terminal.note("keyvane run: \(interruption.error.message) Trying again until it can.") }
            isInterrupted = true
            return []
        case .child(.ended(program, let end)):
            program = nil
            return machine.childEnded(end)
        case .child(.stopped(program, let number)):
            programStopped(number)
            return []
        case .child:
            return []
        case .timer(let timer, let generation):
            guard generations[timer] == generation else { return [] }
            switch timer {
            case .debounce: return machine.debounceElapsed()
            case .grace: return machine.graceElapsed()
            case .healthy: return machine.healthyElapsed()
            }
        case .signal(let number):
            if [SIGTERM, SIGINT, SIGQUIT].contains(number) { return machine.stopRequested(number) }
            signalGroup(number)
            return []
        case .watchEnded(let error):
            Terminal.note("keyvane run: \(error)" + (program == nil ? "" : "; the program goes on with what it has"))
            return machine.watchEnded()
        }
    }

    private func perform(_ actions: [RunStateMachine.Action]) {
        for action in actions {
            switch action {
            case .prepare(let configuration):
                prepare(configuration)
            case .start(let configuration):
                start(configuration)
            case .signal(let number):
                signalGroup(number)
            case .schedule(let timer):
                schedule(timer)
            case .acknowledge(let revision, let status):
                if case .failed = status { hasReportedFailure = true }
                acknowledge(revision, status)
            case .finish(let code):
                self.code = code
            }
        }
    }

    private func prepare(_ configuration: EnvironmentConfiguration) {
        do {
            for file in plan.templates { try file.write(configuration) }
            perform(machine.prepared(configuration))
        } catch {
            Terminal.note("keyvane run: revision \(configuration.revision) is not used: \(error)")
            perform(machine.preparationFailed(configuration, "\(error)"))
        }
    }

    private func start(_ configuration: EnvironmentConfiguration) {
        // What a predecessor has left behind in its group.
        if let group { kill(-group, SIGKILL) }
        let inherited = ProcessInfo.processInfo.environment
        do throws(ProgramProcess.StartError) {
            let started = try ProgramProcess.start(plan.command, environment: inherited.merging(configuration.values) { $1 })
            program = started
            group = started
            programGuard?.watch(started)
        } catch {
            Terminal.note("keyvane run: \(error)")
            perform(machine.startFailed(error.description, code: error.code))
        }
    }

    private func signalGroup(_ number: Int32) {
        guard let program else { return }
        kill(-program, number)
    }

    /// Ctrl-Z stops the program; then we stop too, so that the shell has its terminal, until both are continued.
    private func programStopped(_ number: Int32) {
        guard let program else { return }
        if number == SIGTSTP {
            ForegroundTerminal.takeBack()
            kill(getpid(), SIGSTOP)
        }
        ForegroundTerminal.hand(to: program)
    }

    private func schedule(_ timer: RunStateMachine.Timer) {
        let generation = generations[timer, default: 0] + 1
        generations[timer] = generation
        let delay =
            switch timer {
            case .debounce: plan.debounce
            case .grace: plan.grace
            case .healthy: plan.healthyAfter
            }
        let nanoseconds = delay.components.seconds * 1_000_000_000 + delay.components.attoseconds / 1_000_000_000
        DispatchQueue.global().asyncAfter(deadline: .now() + .nanoseconds(Int(nanoseconds))) { [report] in
            report.yield(.timer(timer, generation: generation))
        }
    }

    private func forwardedSignals() -> [any DispatchSourceSignal] {
        // A guard that was killed is no reason to end.
        signal(SIGPIPE, SIG_IGN)
        return [SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { [report] in report.yield(.signal(number)) }
            source.resume()
            return source
        }
    }
}
