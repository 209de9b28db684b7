// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// What a peer may make us keep before a reply is complete.
package struct RESPLimits: Sendable, Equatable {
    /// Of one reply, while it is incomplete.
    package var bytes: Int
    /// Of one reply, all its arrays together.
    package var elements: Int
    package var depth: Int

    package init(bytes: Int = 16 << 20, elements: Int = 1 << 18, depth: Int = 7) {
        self.bytes = bytes
        self.elements = elements
        self.depth = depth
    }
}
