// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Does a request's body come fast enough? The time in which the server took nothing, so that nobody listened to the client, doesn't count.
/// Owned by its exchange; times are the loop's milliseconds.
package struct BodyPace: Sendable {
    private let bytesPerSecond: UInt64
    private let grace: UInt64
    private var began: UInt64
    private var received: UInt64 = 0
    private var pausedAt: UInt64?

    /// nil where there is no minimum.
    package init?(bytesPerSecond: Int, grace: UInt64, at now: UInt64) {
        guard bytesPerSecond > 0 else { return nil }
        self.bytesPerSecond = UInt64(bytesPerSecond)
        self.grace = grace
        began = now
    }

    package mutating func received(_ count: Int) {
        received += UInt64(count)
    }

    package mutating func paused(at now: UInt64) {
        if pausedAt == nil { pausedAt = now }
    }

    package mutating func resumed(at now: UInt64) {
        guard let pausedAt else { return }
        began += now - pausedAt
        self.pausedAt = nil
    }

    /// By when more must have come.
    package var deadline: UInt64 {
        began + max(grace, received * 1000 / bytesPerSecond)
    }
}
