// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor

extension PostgresSession {
    /// `submit` for callers that wait. The wait is bounded by `timeout`, so it doesn't listen for cancellation.
    func perform(_ calls: [PostgresCall], timeout: Duration) async throws(StoreError) -> [PostgresResult] {
        let answer: Result<[PostgresResult], Failure> = await withCheckedContinuation { continuation in
            loop.post {
                self.submit(calls, timeout: timeout, resends: true) { continuation.resume(returning: $0) }
            }
        }
        switch answer {
        case .success(let results): return results
        case .failure(let failure): throw failure.storeError
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
