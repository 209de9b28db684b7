// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor

/// The first moments of a server that came (back) to a pool with others in it: its weight and its connection limit rise in a line.
/// An immutable value; times are milliseconds of the control loop's clock.
package struct SlowStart: Sendable, Equatable {
    /// What weight 1 counts in turns and loads, so that a rise has steps even then.
    package static let unit = 256

    private let began: UInt64
    private let length: UInt64

    /// nil where there is nothing to be slow about.
    package init?(at now: UInt64, lasting length: Duration) {
        guard length > .zero else { return nil }
        began = now
        self.length = length.wholeMilliseconds
    }

    /// 0 at its beginning, 1 from its end on.
    package func fraction(at now: UInt64) -> Double {
        now >= began + length ? 1 : Double(now - min(began, now)) / Double(length)
    }

    package func isOver(at now: UInt64) -> Bool {
        now >= began + length
    }

    /// A weight's part that counts, in units; never nothing of a weight that is not 0.
    package static func share(of weight: Int, _ fraction: Double) -> Int {
        weight == 0 ? 0 : max(1, Int(Double(weight * unit) * fraction))
    }

    /// 0 stays no limit.
    package static func limit(_ connections: Int, _ fraction: Double) -> Int {
        connections == 0 ? 0 : max(1, Int((Double(connections) * fraction).rounded(.up)))
    }
}
