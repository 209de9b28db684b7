// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// A committed transaction that may not have been published: bounds of its revisions, or of several transactions' collapsed into one.
package struct OutboxAnnouncement: Hashable, Sendable {
    package let environmentID: String
    package let first: Int64
    package let last: Int64

    package init(environmentID: String, first: Int64, last: Int64) {
        self.environmentID = environmentID
        self.first = first
        self.last = last
    }
}

/// Where the relay finds what others left behind. The adapter to the database lives with whoever composes the process.
package protocol OutboxSource: Sendable {
    /// Announcements at least `age` old, oldest first. Another relay may be given the same ones: publishing twice is harmless.
    func pending(olderThan age: Duration, limit: Int) async throws -> [OutboxAnnouncement]

    /// The changes `first` to `last`, in order; also asked for the last one alone. Empty when they are gone with their environment.
    func changes(of announcement: OutboxAnnouncement) async throws -> [ChangeMessage]

    /// Forgets these announcements, which are as `pending` gave them. Those that have changed since stay.
    func remove(_ announcements: [OutboxAnnouncement]) async throws

    /// Called now and then while Redis is away: makes one announcement of all that an environment has, so that they don't pile up.
    func collapse() async throws
}

extension OutboxSource {
    /// Nothing: for a source that is small by itself.
    package func collapse() async throws {}
}
