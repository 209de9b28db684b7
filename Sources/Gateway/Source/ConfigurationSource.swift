// Keyvane
// SPDX-License-Identifier: Apache-2.0

// What the gateway asks of PostgreSQL, and the queue through which loops ask it.
// Flows through: questions from the loops into a bounded queue, answers back as posts; nothing here blocks a loop.
// Owner: the service runs the queue; whoever asked gets the answer on its own loop.
// Must hold: a full queue refuses at once; equal questions are asked once, by those who ask them (feeds, tokens).

package import Foundation
package import Store

/// An environment as a feed begins with it.
package struct LoadedEnvironment: Sendable {
    package let id: UUID
    package let content: FeedContent
    /// What was committed while the snapshot was being read.
    package let later: [Change]
    /// Makes text of a sealed value: name, version, sealed text.
    package let open: @Sendable (String, Int64, String) throws -> String

    package init(
        id: UUID,
        content: FeedContent,
        later: [Change],
        open: @escaping @Sendable (String, Int64, String) throws -> String
    ) {
        self.id = id
        self.content = content
        self.later = later
        self.open = open
    }
}

/// The reads of PostgreSQL that the gateway needs; the tests count and break them.
package protocol ConfigurationSource: Sendable {
    var isAvailable: Bool { get }
    func ping() async throws(StoreError)
    /// - Throws: `notFound`.
    func load(_ path: EnvironmentPath) async throws(StoreError) -> LoadedEnvironment
    /// The log after one revision, for a client that comes back after a long time.
    func changes(_ id: UUID, since revision: Int64, limit: Int) async throws(StoreError) -> ChangesPage
    /// The log after each probe's revision, in one read; environments that are gone are missing.
    func changes(since probes: [HeadProbe], limit: Int) async throws(StoreError) -> [ChangesPage]
    /// Environments that are gone are missing.
    func heads(_ probes: [HeadProbe]) async throws(StoreError) -> [Head]
    /// nil for an unknown, wrong, revoked or expired token.
    func authenticate(_ text: String) async throws(StoreError) -> TokenRecord?
    /// What became of tokens after a place in their log; without one, where it ends.
    func tokenEvents(after place: TokenLogPlace?, limit: Int) async throws(StoreError) -> TokenEventPage
    /// nil for a token that is revoked.
    func token(_ id: String) async throws(StoreError) -> TokenRecord?
    /// All of them or none.
    func record(_ notes: [AuditNote]) async throws(StoreError)
}
