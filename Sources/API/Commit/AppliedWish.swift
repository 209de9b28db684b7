// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// `?wait=applied&timeout=5s`: answer only when the watchers have the change.
struct AppliedWish: Equatable, Sendable {
    /// Of the two parameters; every mutation of entries allows them.
    static let parameters = ["wait", "timeout"]
    private static let longest = Duration.seconds(60)

    let timeout: Duration

    /// Nil where it isn't wished for.
    static func reading(_ query: QueryParameters) throws(Problem) -> AppliedWish? {
        guard let wait = query.text("wait") else {
            if query.text("timeout") != nil { throw .invalidParameter("timeout", "has a meaning only together with wait=applied") }
            return nil
        }
        guard wait == "applied" else { throw .invalidParameter("wait", "can only be applied") }
        guard let text = query.text("timeout") else { return AppliedWish(timeout: .seconds(5)) }
        guard let timeout = duration(text), timeout <= longest else {
            throw .invalidParameter("timeout", "must be at most 60s, such as 5s or 500ms")
        }
        return AppliedWish(timeout: timeout)
    }

    private static func duration(_ text: String) -> Duration? {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        guard let number = Int(digits), (0...60_000).contains(number) else { return nil }
        switch text.dropFirst(digits.count) {
        case "s": return .seconds(number)
        case "ms": return .milliseconds(number)
        default: return nil
        }
    }
}
