// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// How a check ended.
enum CheckOutcome: Equatable {
    case passed
    /// The server says that it is going away.
    case draining
    /// The cause, for the log.
    case failed(String)
}

/// A check that is under way. Its owner hears of its end once, or never after `cancel`.
protocol ServerCheck: AnyObject {
    func cancel()
}
