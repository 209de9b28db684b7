// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// What a server's checks and downtimes have come to, for operators. Owned by the control loop; times are milliseconds of its clock.
struct CheckRecord {
    private struct Last {
        let passed: Bool
        let outcome: String
        let took: UInt64
        let at: UInt64
    }

    private(set) var failures = 0
    private(set) var downs = 0
    private var last: Last?
    private var downSince: UInt64?
    private var downBefore: UInt64 = 0

    mutating func checked(_ outcome: CheckOutcome, began: UInt64, at now: UInt64) {
        let took = now - min(began, now)
        switch outcome {
        case .passed:
            last = Last(passed: true, outcome: "passed", took: took, at: now)
        case .draining:
            last = Last(passed: true, outcome: "draining", took: took, at: now)
        case .failed(let cause):
            failures += 1
            last = Last(passed: false, outcome: cause, took: took, at: now)
        }
    }

    mutating func stands(_ standing: ServerStanding, at now: UInt64) {
        if standing == .down {
            guard downSince == nil else { return }
            downs += 1
            downSince = now
        } else if let since = downSince {
            downBefore += now - since
            downSince = nil
        }
    }

    func secondsDown(at now: UInt64) -> Int {
        Int((downBefore + (downSince.map { now - $0 } ?? 0)) / 1000)
    }

    func check(at now: UInt64) -> ServerStatus.Check? {
        last.map {
            ServerStatus.Check(
                passed: $0.passed,
                outcome: $0.outcome,
                milliseconds: Int($0.took),
                secondsAgo: Int((now - $0.at) / 1000)
            )
        }
    }
}
