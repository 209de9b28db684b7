// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// An entry or a change as it came in a frame; `isSet` is false for a delete.
struct LoggedChange: Hashable, Sendable {
    var isSet: Bool
    var name: String
    var value: String?
    var isSecret: Bool
    var version: Int
    var revision: Int

    /// What a frame must say of a change.
    init(_ change: CommittedChange) {
        isSet = change.isSet
        name = change.name
        value = change.isSet ? change.value : nil
        isSecret = change.isSecret
        version = change.version
        revision = change.revision
    }

    init(isSet: Bool, name: String, value: String?, isSecret: Bool, version: Int, revision: Int) {
        self.isSet = isSet
        self.name = name
        self.value = value
        self.isSecret = isSecret
        self.version = version
        self.revision = revision
    }
}

/// Everything that one watcher asked and was told of one environment, over all its connections.
struct WatchLog: Sendable {
    enum Record: Hashable, Sendable {
        /// A new subscription, with the revision of the cursor that it goes on from; nil asks for a snapshot.
        case asked(since: Int?)
        case snapshot(revision: Int, cursor: String, entries: [LoggedChange])
        case changes(previous: Int, revision: Int, cursor: String, changes: [LoggedChange])
        /// A heartbeat's head: all that is visible up to there has been sent.
        case head(revision: Int, cursor: String)
    }

    let watcher: Int
    let environment: Int
    let visibility: Visibility
    var records: [Record] = []
}

/// One thing that is not as promised.
struct Finding: Hashable, Sendable, CustomStringConvertible {
    enum Kind: String, Sendable {
        case brokenChain = "previousRevision is not the revision of the frame before"
        case wentBack = "a frame or a head from before what was known"
        case unknownCursor = "a cursor that is not of this history"
        case cutTransaction = "a part of a transaction"
        case disorder = "revisions that don't rise"
        case wrongChange = "a change that PostgreSQL knows otherwise, or that may not be seen"
        case missing = "a visible change was left out"
        case wrongState = "the state is not PostgreSQL's"
        case unasked = "a frame that no request explains"
        case lostWrite = "a write that was answered is not in the change table"
        case doubledWrite = "a revision that two answers claim, or none"
        case wrongWrite = "a write is in the change table otherwise than it was sent"
    }

    let kind: Kind
    /// The watcher's or the writer's number.
    let who: Int
    let environment: Int
    let revision: Int
    let detail: String

    var description: String { "\(who) in environment \(environment) at \(revision): \(kind.rawValue): \(detail)" }
}
