// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Store
import Wire

/// One watched environment: its state machine, its groups, and what waits for it. Confined to the feed loop.
final class Feed {
    /// What is to be encoded at the end of the event under way: everything that one wake-up brought goes into one frame.
    private enum Unpublished {
        case nothing
        case changes([Change])
        case snapshot
    }

    let id: UUID
    let environment: WatchedEnvironment
    var machine = FeedStateMachine()
    private let encoder: FrameEncoder
    private let open: SecretOpener
    private(set) var groups: [FeedGroup.Key: FeedGroup] = [:]
    private var unpublished = Unpublished.nothing
    /// Attaches that must wait for a comparison with PostgreSQL, or for a snapshot that is being read again.
    var waiting: [AttachRequest] = []
    /// Requests for changes older than memory, by where they start.
    var readingBack: [ResumePoint: [AttachRequest]] = [:]
    /// A comparison with PostgreSQL is under way.
    var isCompared = false
    /// Since when nobody watches, in the feed loop's milliseconds.
    var idleSince: UInt64?
    /// The last attempt to read the snapshot again failed.
    var needsReload = false

    init(_ loaded: LoadedEnvironment, path: EnvironmentPath, deflater: Deflater?) {
        id = loaded.id
        environment = WatchedEnvironment(path: path, id: loaded.id.lowercased)
        encoder = FrameEncoder(environment: environment.text, id: environment.id, deflater: deflater)
        open = loaded.open
    }

    var hasUnpublished: Bool {
        if case .nothing = unpublished { false } else { true }
    }

    func publish(_ changes: [Change]) {
        switch unpublished {
        case .nothing: unpublished = .changes(changes)
        case .changes(let earlier): unpublished = .changes(earlier + changes)
        // The snapshot is encoded from the content as it is then.
        case .snapshot: break
        }
    }

    func publishSnapshot() {
        unpublished = .snapshot
    }

    /// Encodes what is due for every group. `failed` gets the groups whose secrets cannot be opened.
    func takePublications(failed: (FeedGroup, any Error) -> Void) -> [(FeedGroup, Publication)] {
        let due = unpublished
        unpublished = .nothing
        var publications: [(FeedGroup, Publication)] = []
        for group in groups.values {
            do {
                switch due {
                case .nothing: break
                case .changes(let changes): publications.append((group, try group.publication(of: changes, leadingTo: machine.head)))
                case .snapshot: publications.append((group, try group.reset(to: machine.content)))
                }
            } catch {
                failed(group, error)
            }
        }
        return publications
    }

    /// The group of a watcher; made with `id` where there is none.
    func group(_ key: FeedGroup.Key, loops: Int, newID: () -> GroupID) -> FeedGroup {
        if let group = groups[key] { return group }
        let group = FeedGroup(id: newID(), key: key, loops: loops, head: machine.head, encoder: encoder, open: open)
        groups[key] = group
        return group
    }

    func remove(_ group: FeedGroup) {
        groups[group.key] = nil
    }
}
