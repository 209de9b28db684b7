// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Logging
import Reactor

/// A connection for one job at the start of a process, lent by `withConnection`: scripts in sequence, outside the sessions.
struct DirectConnection: Sendable {
    private let connection: LoopBound<PostgresConnection>

    /// Connects and runs `body`, both again until `startTimeout` has passed: databases and their clients are often started together, and a
    /// failover may come in between. So `body` does nothing that may not be done twice.
    static func withConnection<Value>(
        to address: PostgresAddress,
        configuration: StoreConfiguration,
        on loop: Loop,
        logger: Logger,
        _ body: (DirectConnection) async throws(StoreError) -> Value
    ) async throws(StoreError) -> Value {
        let start = ContinuousClock.now
        var failures = 0
        func again(after error: StoreError) throws(StoreError) {
            if failures == 0 { logger.notice("waiting_for_database", metadata: ["reason": "\(error.underlying ?? error.message)"]) }
            failures += 1
            guard !Task.isCancelled, start.duration(to: .now) < configuration.startTimeout else { throw error }
        }
        while true {
            switch await connect(to: address, configuration: configuration, on: loop, after: failures == 0 ? .zero : .milliseconds(200)) {
            case .success(let connection):
                let lent = DirectConnection(connection: connection)
                do throws(StoreError) {
                    let value = try await body(lent)
                    lent.close()
                    return value
                } catch {
                    lent.close()
                    guard error.code == .unavailable else { throw error }
                    try again(after: error)
                }
            case .failure(let failure):
                try again(after: failure.storeError)
            }
        }
    }

    private static func connect(
        to address: PostgresAddress,
        configuration: StoreConfiguration,
        on loop: Loop,
        after pause: Duration
    ) async -> Result<LoopBound<PostgresConnection>, PostgresFailure> {
        await withCheckedContinuation { continuation in
            loop.post {
                loop.after(pause) {
                    // Keeps itself alive until it is done.
                    _ = PostgresConnector(
                        to: address,
                        setup: "SET client_min_messages = error",
                        timeout: configuration.connectTimeout,
                        on: loop
                    ) {
                        continuation.resume(returning: $0.map { LoopBound($0, loop: loop) })
                    }
                }
            }
        }
    }

    /// Runs statements in the simple protocol; several of them are one transaction unless the text says otherwise.
    @discardableResult
    func run(_ script: String) async throws(StoreError) -> [PostgresResult] {
        let connection = connection
        let answer: Result<[PostgresResult], PostgresFailure> = await withCheckedContinuation { continuation in
            connection.loop.post {
                connection.value.run(script: script) { continuation.resume(returning: $0) }
            }
        }
        switch answer {
        case .success(let results): return results
        case .failure(let failure): throw failure.storeError
        }
    }

    private func close() {
        let connection = connection
        connection.loop.post { connection.value.close() }
    }
}
