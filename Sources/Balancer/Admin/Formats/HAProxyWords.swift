// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// States and checks in HAProxy's words and numbers.
enum HAProxyWords {
    static func state(_ status: ServerStatus) -> String {
        switch status.standing {
        case .up: "UP"
        case .drain, .drained, .draining: "DRAIN"
        case .down, .ejected: "DOWN"
        case .maint: "MAINT"
        }
    }

    /// `srv_op_state`: 0 stopped, 1 starting (slow start), 2 running, 3 stopping (by its own wish).
    static func operationalState(_ status: ServerStatus) -> Int {
        switch status.standing {
        case .up: status.effectiveWeight > 0 && status.effectiveWeight < Double(status.weight) ? 1 : 2
        case .drain: 2
        case .drained, .draining: 3
        case .down, .ejected, .maint: 0
        }
    }

    /// `srv_admin_state`: 0x01 maintenance, 0x08 drain.
    static func administrativeState(_ status: ServerStatus) -> Int {
        switch status.administrative {
        case .ready: 0
        case .drain: 0x08
        case .maint: 0x01
        }
    }

    struct Check {
        /// `check_status` of the CSV, and the same as `srv_check_status`.
        let status: String
        let number: Int
        let code: String
        let description: String
    }

    static func check(_ check: ServerStatus.Check, expected: Int) -> Check {
        let outcome = check.outcome
        if outcome == "draining" { return Check(status: "L7OKC", number: 16, code: "", description: "Layer7 check conditionally passed") }
        if check.passed { return Check(status: "L7OK", number: 15, code: "\(expected)", description: "Layer7 check passed") }
        if outcome.hasPrefix("status ") {
            return Check(status: "L7STS", number: 17, code: String(outcome.dropFirst(7)), description: "Layer7 wrong status")
        }
        if outcome == "no answer in time" { return Check(status: "L7TOUT", number: 12, code: "", description: "Layer7 timeout") }
        if outcome.contains("no answer within") { return Check(status: "L4TOUT", number: 7, code: "", description: "Layer4 timeout") }
        if outcome.hasPrefix("connect to") { return Check(status: "L4CON", number: 8, code: "", description: "Layer4 connection problem") }
        return Check(status: "L7RSP", number: 13, code: "", description: "Layer7 invalid response")
    }
}

extension ServerStanding {
    /// Its checks pass, whatever an operator wishes.
    var isUp: Bool {
        switch self {
        case .up, .drain, .drained, .draining: true
        case .down, .ejected, .maint: false
        }
    }
}
