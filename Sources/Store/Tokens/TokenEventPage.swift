// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Up to where somebody knows what became of tokens: the number of an event and that event's mark, without which another history could have
/// the same numbers.
package struct TokenLogPlace: Hashable, Sendable {
    package let sequence: Int64
    package let mark: UInt32

    package init(sequence: Int64, mark: UInt32) {
        self.sequence = sequence
        self.mark = mark
    }
}

/// A token was revoked, or what it may do has changed.
package struct TokenEvent: Hashable, Sendable {
    package let sequence: Int64
    package let tokenID: String
    /// As it is now, after this event or a later one; nil where it is no more.
    package let token: TokenRecord?

    package init(sequence: Int64, tokenID: String, token: TokenRecord?) {
        self.sequence = sequence
        self.tokenID = tokenID
        self.token = token
    }
}

/// A part of the log of tokens.
package struct TokenEventPage: Hashable, Sendable {
    /// Oldest first, without a gap.
    package let events: [TokenEvent]
    /// Where the next page begins.
    package let place: TokenLogPlace
    /// Nothing is missing between the place that was asked for and `place`. Otherwise no events are here: too much has been trimmed, or the
    /// database has another history.
    package let isWhole: Bool
    /// There are later events than these.
    package let hasMore: Bool

    package init(events: [TokenEvent], place: TokenLogPlace, isWhole: Bool, hasMore: Bool) {
        self.events = events
        self.place = place
        self.isWhole = isWhole
        self.hasMore = hasMore
    }
}
