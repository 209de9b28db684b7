// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor

extension PostgresSession {
    /// `submit` for callers that wait. The wait is bounded by `timeout`, so it doesn't listen for cancellation.
    func perform(_ calls: [PostgresCall], timeout: Duration) async throws(StoreError) -> [PostgresResult] {
        switch await outcome(calls, timeout: timeout) {
        case .success(let results): return results
        case .failure(let failure): throw failure.storeError
        }
    }

    /// One result a call, or why there are none.
    func outcome(_ calls: [PostgresCall], timeout: Duration) async -> Result<[PostgresResult], Failure> {
        await withCheckedContinuation { continuation in
            loop.post {
                self.submit(calls, timeout: timeout, resends: true) { continuation.resume(returning: $0) }
            }
        }
    }
}

extension PostgresSession.Failure {
    var storeError: StoreError {
        switch self {
        case .refused(let failure, _): failure.storeError
        case .lost(let failure): failure.storeError
        case .timedOut(sent: false): .unavailable("the database can't be reached")
        case .timedOut(sent: true): .unavailable("the database didn't answer in time")
        case .overloaded: .unavailable("too much is waiting for the database")
        case .closed: .unavailable("this process is stopping")
        }
    }
}
