// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Store

/// A watcher on some loop asks to be let into a feed's group.
package struct AttachRequest: Sendable {
    package let environment: EnvironmentPath
    /// What the watcher may see, wants to see, and reads.
    package let key: FeedGroup.Key
    package let since: ResumePoint?
    /// The watcher fell behind: it gets the newest state, not each change.
    package let isConflated: Bool
    package let loop: Int
    /// Called once, on the feed loop; posts to the watcher's loop before it returns, so that publications stay behind it.
    package let answer: @Sendable (AttachAnswer) -> Void
}

package enum AttachAnswer: Sendable {
    /// The bytes are to be sent now, and the group's publications from now on.
    case started(StartedWatch)
    /// A part of a long way back: send the bytes, then ask again with the cursor.
    case page(bytes: [UInt8], cursor: Cursor, environment: WatchedEnvironment)
    case refused(AttachRefusal)
}

package struct StartedWatch: Sendable {
    package let environment: WatchedEnvironment
    package let group: GroupID
    /// Whole frames.
    package let bytes: [UInt8]
    /// The state that the bytes lead to.
    package let cursor: Cursor
    package let needsVariant: Bool
}

/// An environment's name and id, shared by everybody who watches it.
package final class WatchedEnvironment: Sendable {
    package let path: EnvironmentPath
    /// `w/p/e`
    package let text: String
    /// Lower-case UUID.
    package let id: String

    package init(path: EnvironmentPath, id: String) {
        self.path = path
        text = path.description
        self.id = id
    }
}

/// Why somebody isn't let in. The raw value is the code on the wire.
package enum AttachRefusal: String, Sendable {
    case notFound = "environment_not_found"
    case forbidden
    case unavailable
}
