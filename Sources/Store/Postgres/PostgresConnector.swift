// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor

/// Makes one connection: tries the addresses in turn and sets the session up. Where one is slow to answer, the next is tried beside it, so that
/// a dead primary costs a second and not the time of a request. Confined to its loop. Ends with exactly one call of `done`, or none after `cancel`.
final class PostgresConnector {
    /// One address being tried; confined to the loop, owned by the connector.
    private final class Attempt {
        var connection: PostgresConnection?
        var deadline: LoopTimer?

        func end() {
            deadline?.cancel()
            connection?.close()
        }
    }

    private static let headStart = Duration.seconds(1)

    private let loop: Loop
    private let setup: String
    private let timeout: Duration
    private var remaining: [PostgresAddress.Candidate] = []
    private var attempts: [Attempt] = []
    private var next: LoopTimer?
    private var failures: [PostgresFailure] = []
    private var done: ((Result<PostgresConnection, PostgresFailure>) -> Void)?

    /// Each address has `timeout` for connecting and for `setup`, a script of SET statements.
    init(
        to address: PostgresAddress,
        setup: String,
        timeout: Duration,
        on loop: Loop,
        done: @escaping (Result<PostgresConnection, PostgresFailure>) -> Void
    ) {
        self.loop = loop
        self.setup = setup
        self.timeout = timeout
        self.done = done
        address.candidates(on: loop) { candidates in
            self.remaining = candidates
            self.tryNext()
        }
    }

    func cancel() {
        done = nil
        release()
    }

    private func tryNext() {
        next?.cancel()
        next = nil
        guard done != nil else { return }
        guard !remaining.isEmpty else {
            if attempts.isEmpty { finish(.failure(failure)) }
            return
        }
        let candidate = remaining.removeFirst()
        let attempt = Attempt()
        attempts.append(attempt)
        attempt.deadline = loop.after(timeout) {
            self.failed(attempt, .connection("\(candidate.label) didn't answer within \(self.timeout)"))
        }
        if !remaining.isEmpty { next = loop.after(min(Self.headStart, timeout / 2)) { self.tryNext() } }
        do throws(PostgresFailure) {
            attempt.connection = try PostgresConnection(to: candidate, on: loop) { failure in
                if let failure { self.failed(attempt, failure) } else { self.connected(attempt) }
            }
        } catch {
            // Later, so that a whole list of them neither recurses nor ends inside the initializer.
            loop.defer { self.failed(attempt, error) }
        }
    }

    private func connected(_ attempt: Attempt) {
        attempt.connection?.run(script: setup) { result in
            switch result {
            case .success: self.finished(attempt)
            case .failure(let failure): self.failed(attempt, failure)
            }
        }
    }

    private func failed(_ attempt: Attempt, _ failure: PostgresFailure) {
        // Another one may have won meanwhile.
        guard let index = attempts.firstIndex(where: { $0 === attempt }) else { return }
        attempts.remove(at: index).end()
        failures.append(failure)
        tryNext()
    }

    private func finished(_ attempt: Attempt) {
        guard let connection = attempt.connection else { return }
        attempt.connection = nil
        finish(.success(connection))
    }

    private func finish(_ result: Result<PostgresConnection, PostgresFailure>) {
        let done = done
        self.done = nil
        release()
        done?(result)
    }

    private func release() {
        next?.cancel()
        next = nil
        for attempt in attempts { attempt.end() }
        attempts = []
    }

    /// Of every address, since the log's reader wants to know why none of them would do.
    private var failure: PostgresFailure {
        guard let last = failures.last else { return .connection("no address found for the database's host") }
        return PostgresFailure(kind: last.kind, message: failures.map(\.message).joined(separator: "; "))
    }
}
