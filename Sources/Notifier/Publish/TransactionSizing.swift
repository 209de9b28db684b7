// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Which transactions are announced change by change, and which by their bounds only.
package enum TransactionSizing {
    static let mostChanges: Int64 = 100
    static let mostBytes = 256 * 1024

    /// `messages` hold whole transactions, each in the order of its revisions; a large one becomes one bulk announcement.
    package static func announcements(of messages: [ChangeMessage]) -> [ChangeMessage] {
        var result: [ChangeMessage] = []
        result.reserveCapacity(messages.count)
        var start = 0
        while start < messages.count {
            let head = messages[start]
            var end = start
            var bytes = 0
            while end < messages.count, messages[end].first == head.first, messages[end].last == head.last,
                messages[end].environmentID == head.environmentID
            {
                bytes += messages[end].name.utf8.count + (messages[end].value?.utf8.count ?? 0)
                end += 1
            }
            if isBulk(first: head.first, last: head.last) || bytes > mostBytes {
                result.append(bulk(messages[end - 1], first: head.first))
            } else {
                result += messages[start..<end]
            }
            start = end
        }
        return result
    }

    static func isBulk(first: Int64, last: Int64) -> Bool { last - first >= mostChanges }

    /// Announces everything from `first` up to this change.
    static func bulk(_ head: ChangeMessage, first: Int64) -> ChangeMessage {
        .bulk(environmentID: head.environmentID, first: first, last: head.revision, mark: head.mark, at: head.at, by: head.by)
    }
}
