// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Store

/// When the log of tokens is read, and which tokens are looked up one by one: one question at a time, so that what is learned later is never
/// older than what is known. A value, owned by the token directory.
package struct TokenLogStateMachine {
    package enum Action: Equatable {
        case none
        /// Read the log after a place; without one, only where it ends.
        case read(after: TokenLogPlace?)
        /// Say `rested` in a moment: whoever rings all the time costs PostgreSQL no more than that.
        case rest
        case lookUp(Set<String>)
        /// Every token in use. What the log can't tell, this finds.
        case lookUpAll
    }

    private enum Phase {
        case idle
        case reading
        case resting
        case lookingUp
    }

    private var phase = Phase.idle
    /// Everything up to here has been followed; nil until the first answer.
    private var place: TokenLogPlace?
    /// The last event that a message told of, or the log.
    private var heard: Int64 = 0
    private var isReadDue = false
    private var areAllDue = false
    private var suspects: Set<String> = []
    /// Looked up without an answer: tried again with the next sweep.
    private var unanswered: Set<String> = []

    package init() {}

    // MARK: Occasions

    /// It is time, or messages may have been missed. Nothing is asked while nobody is there, but where the log ends when that isn't known yet:
    /// who comes later then needs no look-up of his own.
    package mutating func swept(isAnybodyThere: Bool) -> Action {
        guard isAnybodyThere || place == nil else { return .none }
        isReadDue = true
        suspects.formUnion(unanswered)
        unanswered = []
        return next()
    }

    /// A message was believed, and followed. Only a number that isn't the next one says that others were missed.
    package mutating func announced(_ sequence: Int64?) -> Action {
        guard let sequence else { return .none }
        if sequence != heard + 1 { isReadDue = true }
        heard = max(heard, sequence)
        return next()
    }

    /// A message says that there is something to read.
    package mutating func asked() -> Action {
        isReadDue = true
        return next()
    }

    /// What is known of these tokens may be older than what was read.
    package mutating func suspected(_ ids: Set<String>) -> Action {
        suspects.formUnion(ids)
        return next()
    }

    // MARK: Answers

    /// The caller has followed the page's events.
    package mutating func read(_ page: TokenEventPage) -> Action {
        guard phase == .reading else { preconditionFailure("a page of the log came in phase \(phase)") }
        place = page.place
        if page.isWhole {
            heard = max(heard, page.place.sequence)
        } else {
            // The first look at it, too much was trimmed, or the database was restored: numbers from before say nothing.
            heard = page.place.sequence
            areAllDue = true
        }
        if page.hasMore, page.isWhole { return .read(after: page.place) }
        phase = .resting
        return .rest
    }

    /// The next sweep reads from the same place.
    package mutating func readFailed() -> Action {
        guard phase == .reading else { preconditionFailure("a read of the log failed in phase \(phase)") }
        phase = .resting
        return .rest
    }

    package mutating func rested() -> Action {
        guard phase == .resting else { preconditionFailure("rested in phase \(phase)") }
        phase = .idle
        return next()
    }

    package mutating func lookedUp(unanswered ids: Set<String>) -> Action {
        guard phase == .lookingUp else { preconditionFailure("tokens were looked up in phase \(phase)") }
        unanswered.formUnion(ids)
        phase = .idle
        return next()
    }

    /// The log first: it may make look-ups needless, and those must not answer with less than it has told already.
    private mutating func next() -> Action {
        switch phase {
        case .reading, .resting, .lookingUp:
            return .none
        case .idle:
            if isReadDue {
                isReadDue = false
                phase = .reading
                return .read(after: place)
            }
            guard areAllDue || !suspects.isEmpty else { return .none }
            phase = .lookingUp
            let ids = suspects
            suspects = []
            guard areAllDue else { return .lookUp(ids) }
            areAllDue = false
            unanswered = []
            return .lookUpAll
        }
    }
}
