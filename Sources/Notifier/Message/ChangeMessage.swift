// Keyvane
// SPDX-License-Identifier: Apache-2.0

// What travels on the two channels, and why it may be believed.
// Flows through: committed changes into one JSON text each, and texts from anybody back into changes, with a code that only we can make.
// Owner: values; encoding runs on the publisher's caller, decoding on the feed loop.
// Must hold: no input crashes or is believed without its code; a secret's value is its sealed text, so Redis never sees a plaintext;
//   the first four keys are environmentId, name, value and isSecret, in this order.

/// One change as it is announced, or with `.bulk` the fact that a range of revisions exists.
package struct ChangeMessage: Hashable, Sendable {
    package enum Operation: String, Sendable {
        case set
        case delete
        /// Revisions `first` to `last` were committed; their content is in the database.
        case bulk
    }

    /// Lower-case UUID.
    package var environmentID: String
    /// Empty in a bulk announcement.
    package var name: String
    /// Plain, or sealed for a secret; nil unless `operation` is `.set`.
    package var value: String?
    package var isSecret: Bool
    package var operation: Operation
    package var revision: Int64
    package var version: Int64
    /// The bounds of its transaction.
    package var first: Int64
    package var last: Int64
    /// The random mark of this revision, which tells histories apart.
    package var mark: UInt32
    /// RFC 3339 with milliseconds.
    package var at: String
    package var by: String

    package init(
        environmentID: String,
        name: String,
        value: String?,
        isSecret: Bool,
        operation: Operation,
        revision: Int64,
        version: Int64,
        first: Int64,
        last: Int64,
        mark: UInt32,
        at: String,
        by: String
    ) {
        self.environmentID = environmentID
        self.name = name
        self.value = value
        self.isSecret = isSecret
        self.operation = operation
        self.revision = revision
        self.version = version
        self.first = first
        self.last = last
        self.mark = mark
        self.at = at
        self.by = by
    }

    /// Announces `first` to `last`, whose last change has this mark, time and author.
    package static func bulk(environmentID: String, first: Int64, last: Int64, mark: UInt32, at: String, by: String) -> ChangeMessage {
        ChangeMessage(
            environmentID: environmentID,
            name: "",
            value: nil,
            isSecret: false,
            operation: .bulk,
            revision: last,
            version: 0,
            first: first,
            last: last,
            mark: mark,
            at: at,
            by: by
        )
    }

    /// What a feed may rely on; a message that breaks it is not believed, code or not.
    var isConsistent: Bool {
        let hasValue =
            switch operation {
            case .set: value != nil
            case .delete, .bulk: value == nil
            }
        return hasValue && 1 <= first && first <= revision && revision <= last && version >= 0
            && (operation != .bulk || revision == last) && Self.isIdentifier(environmentID)
    }

    /// Canonical lower-case UUID text.
    static func isIdentifier(_ text: String) -> Bool {
        guard text.utf8.count == 36 else { return false }
        for (position, byte) in text.utf8.enumerated() {
            switch position {
            case 8, 13, 18, 23: guard byte == UInt8(ascii: "-") else { return false }
            default: guard byte.hexValue != nil, byte < UInt8(ascii: "A") || byte > UInt8(ascii: "F") else { return false }
            }
        }
        return true
    }
}
