// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// A point in one environment's history: the revision and the random mark of the change that made it. The mark tells a restored or
/// re-created history from the one the cursor was taken in. Written `57-9f3a01c2`.
package struct Cursor: Hashable, Sendable, CustomStringConvertible {
    package let revision: Int64
    package let mark: UInt32

    package init(revision: Int64, mark: UInt32) {
        self.revision = revision
        self.mark = mark
    }

    package init?(parsing text: some StringProtocol) {
        guard let point = ResumePoint(parsing: text), let mark = point.mark else { return nil }
        self.init(revision: point.revision, mark: mark)
    }

    package var description: String {
        let digits = String(mark, radix: 16)
        return "\(revision)-\(String(repeating: "0", count: 8 - digits.utf8.count))\(digits)"
    }
}

/// What a client gives as `since`: a cursor, or a bare revision that trusts the history to be the same.
package struct ResumePoint: Hashable, Sendable {
    package let revision: Int64
    package let mark: UInt32?

    package init(revision: Int64, mark: UInt32? = nil) {
        self.revision = revision
        self.mark = mark
    }

    /// `57` or `57-9f3a01c2`; nil for anything else.
    package init?(parsing text: some StringProtocol) {
        let parts = text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        guard let digits = parts.first, !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let revision = Int64(digits)
        else { return nil }
        guard parts.count == 2 else {
            self.init(revision: revision)
            return
        }
        let isHex = parts[1].utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
        guard parts[1].utf8.count == 8, isHex, let mark = UInt32(parts[1], radix: 16) else { return nil }
        self.init(revision: revision, mark: mark)
    }
}
