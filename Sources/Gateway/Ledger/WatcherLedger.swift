// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Who watches what on this gateway, and what has been acknowledged: the source of `E/watchers` and `?wait=applied`.
// Flows through: subscriptions, acknowledgements and ends of the connections, and the feeds' publications, into books of environments;
//   tallies of the books to the ledger's writer, when it asks for them.
// Owner: each loop has one ledger for its own connections; only the set of changed environments is shared.
// Must hold: a silent watcher is a number in a count, nothing more; nobody counts as having applied what he was not sent, or sent and not
//   acknowledged; whoever is gone is gone from here.

package import Notifier
package import Store

/// The watchers of one loop, by environment. Confined to its loop.
package final class WatcherLedger {
    private let pulse: LedgerPulse
    /// The public name of a connection.
    private let connectionName: (UInt32) -> String
    /// By path, under which connections speak of them.
    private var books: [EnvironmentPath: (id: String, book: EnvironmentBook)] = [:]
    private var paths: [String: EnvironmentPath] = [:]
    /// Groups with watchers that acknowledge: the only ones whose publications are looked at.
    private var followed: [GroupID: EnvironmentPath] = [:]

    package init(pulse: LedgerPulse, connectionName: @escaping (UInt32) -> String) {
        self.pulse = pulse
        self.connectionName = connectionName
    }

    // MARK: Watchers

    /// The feed let a watch in, for the first time, with another filter, or again after it fell behind.
    ///
    /// - Parameter isNew: the client asked for it, so what it acknowledged of an earlier subscription counts no more.
    package func enroll(
        _ connection: UInt32,
        in path: EnvironmentPath,
        id: String,
        from old: WatchStanding,
        to new: WatchStanding,
        isNew: Bool
    ) {
        if books[path]?.id != id { open(path, id) }
        guard books[path]?.book.enroll(connection, from: old, to: new, isNew: isNew) == true else { return }
        mark(path)
    }

    private func open(_ path: EnvironmentPath, _ id: String) {
        paths[id] = path
        guard let (old, former) = books[path] else {
            books[path] = (id, EnvironmentBook())
            return
        }
        var book = former
        // The environment was deleted and made again: who is still listed will find the new one.
        for group in book.forgetHistory() { followed[group] = nil }
        book.isDirty = false
        books[path] = (id, book)
        paths[old] = nil
        pulse.mark(old)
        mark(path)
    }

    /// The watch is over.
    package func dismiss(_ connection: UInt32, in path: EnvironmentPath, from old: WatchStanding) {
        if let group = books[path]?.book.dismiss(connection, from: old) { followed[group] = nil }
        guard let entry = books[path] else { return }
        if entry.book.isEmpty {
            books[path] = nil
            paths[entry.id] = nil
            // The book's own mark went with it.
            pulse.mark(entry.id)
        } else {
            mark(path)
        }
    }

    // MARK: Groups

    /// The watch was sent the state of a revision, and the group's frames follow it. Nothing to do for a silent one.
    package func joined(_ connection: UInt32, in path: EnvironmentPath, _ group: GroupID, sent revision: Int64) {
        guard books[path]?.book.joined(connection, group, sent: revision) == true else { return }
        followed[group] = path
        mark(path)
    }

    /// The watch left the group without being over, and has been sent everything up to `sent`.
    package func left(_ connection: UInt32, _ group: GroupID, sent: @autoclosure () -> Int64?) {
        guard let path = followed[group] else { return }
        if books[path]?.book.left(connection, group, sent: sent()) == true { followed[group] = nil }
    }

    /// A watch on a long way back was sent a page.
    package func paged(_ connection: UInt32, in path: EnvironmentPath, sent revision: Int64) {
        books[path]?.book.paged(connection, sent: revision)
    }

    /// What the feed loop published, whether there is anything visible in it or not.
    package func published(_ publications: [Publication]) {
        guard !followed.isEmpty else { return }
        for publication in publications {
            guard let path = followed[publication.group] else { continue }
            if books[path]?.book.published(publication) == true { mark(path) }
        }
    }

    // MARK: Acknowledgements

    /// False: it names a revision that was never sent. `sent` is how far the watch was sent its group's frames.
    package func acknowledged(
        _ acknowledgement: Acknowledgement,
        by connection: UInt32,
        in path: EnvironmentPath,
        sent: Int64?
    ) -> Bool {
        guard let outcome = books[path]?.book.acknowledged(acknowledgement, by: connection, sent: sent) else { return true }
        switch outcome {
        case .beyond: return false
        case .known: return true
        case .news:
            mark(path)
            return true
        }
    }

    // MARK: Tallies

    private func mark(_ path: EnvironmentPath) {
        guard let entry = books[path], !entry.book.isDirty else { return }
        books[path]?.book.isDirty = true
        pulse.mark(entry.id)
    }

    /// The tallies of some environments, or of all. What changes from now on is marked anew.
    package func tallies(of wanted: Set<String>?) -> [String: WatcherTally] {
        var tallies: [String: WatcherTally] = [:]
        for id in wanted.map(Array.init) ?? Array(paths.keys) {
            guard let path = paths[id] else { continue }
            books[path]?.book.isDirty = false
            tallies[id] = books[path]?.book.tally(connectionName)
        }
        return tallies
    }
}
