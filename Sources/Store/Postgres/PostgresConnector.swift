// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor

/// Makes one connection: tries the addresses in turn and sets the session up. Confined to its loop. Ends with exactly one call of `done`,
/// or none after `cancel`.
final class PostgresConnector {
    private let loop: Loop
    private let setup: String
    private let timeout: Duration
    private var remaining: [PostgresAddress.Candidate] = []
    private var lastFailure = PostgresFailure.connection("no address found for the database's host")
    private var current: PostgresConnection?
    private var deadline: LoopTimer?
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
        release()
        guard done != nil else { return }
        guard !remaining.isEmpty else {
            finish(.failure(lastFailure))
            return
        }
        let candidate = remaining.removeFirst()
        deadline = loop.after(timeout) { self.failed(.connection("\(candidate.label) didn't answer within \(self.timeout)")) }
        do throws(PostgresFailure) {
            current = try PostgresConnection(to: candidate, on: loop) { failure in
                if let failure { self.failed(failure) } else { self.connected() }
            }
        } catch {
            // Later, so that a whole list of them neither recurses nor ends inside the initializer.
            loop.defer { self.failed(error) }
        }
    }

    private func connected() {
        current?.run(script: setup) { result in
            switch result {
            case .success: self.finished()
            case .failure(let failure): self.failed(failure)
            }
        }
    }

    private func failed(_ failure: PostgresFailure) {
        lastFailure = failure
        tryNext()
    }

    private func finished() {
        guard let connection = current else { return }
        current = nil
        finish(.success(connection))
    }

    private func finish(_ result: Result<PostgresConnection, PostgresFailure>) {
        let done = done
        self.done = nil
        release()
        done?(result)
    }

    private func release() {
        deadline?.cancel()
        deadline = nil
        current?.close()
        current = nil
    }
}
