// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// A watcher's answer to what it was sent up to a revision.
package struct Acknowledgement: Equatable, Sendable {
    /// Bytes of a watcher's words that are kept.
    package static let messageLimit = 200

    package let revision: Int64
    /// Why it could not be applied, in the watcher's own words, which may be none; nil where it could.
    package let failure: String?

    package init(revision: Int64, status: ClientMessage.AckStatus, message: String?) {
        self.revision = revision
        switch status {
        case .applied: failure = nil
        case .failed: failure = Self.readable(message ?? "")
        }
    }

    /// On one line, and not longer than people read: it ends up in terminals and logs. Cut between characters.
    private static func readable(_ text: String) -> String {
        var clean = ""
        var size = 0
        for character in text {
            let kept = character.unicodeScalars.filter { scalar in
                switch scalar.properties.generalCategory {
                case .control, .lineSeparator, .paragraphSeparator: false
                default: true
                }
            }
            size += kept.reduce(0) { $0 + UTF8.width($1) }
            guard size <= messageLimit else { break }
            clean.unicodeScalars.append(contentsOf: kept)
        }
        return clean
    }
}
