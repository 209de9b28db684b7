// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// The changes of tokens that were announced of late, numbered: a look-up that began before one of its own token may have read what was.
/// Anybody can announce one, so that more than `capacity` are not kept. A value.
package struct TokenChanges {
    package static let capacity = 4096

    private var latest: [String: (number: Int, at: UInt64)] = [:]
    /// Announced so far.
    package private(set) var count = 0
    /// Up to this one nothing is known of whose they were.
    private var forgotten = 0

    package init() {}

    package mutating func append(_ id: String, at now: UInt64) {
        if latest.count >= Self.capacity, latest[id] == nil {
            latest = [:]
            forgotten = count
        }
        count += 1
        latest[id] = (count, now)
    }

    /// Any token may have changed.
    package mutating func appendAll() {
        latest = [:]
        count += 1
        forgotten = count
    }

    /// `began` is the `count` of that moment.
    package func mayHaveChanged(_ id: String, since began: Int) -> Bool {
        forgotten > began || (latest[id]?.number ?? 0) > began
    }

    /// No look-up takes so long that it began before those.
    package mutating func removeAll(before moment: UInt64) {
        latest = latest.filter { $0.value.at >= moment }
    }
}
