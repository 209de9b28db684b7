// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Foundation

/// Which instance is to drain, or to serve again, and when somebody wanted that.
package struct InstanceOrder: Hashable, Sendable {
    package let role: InstanceRecord.Role
    package let name: String
    /// In milliseconds since 1970.
    package let at: Int64

    package init(role: InstanceRecord.Role, name: String, at: Int64) {
        self.role = role
        self.name = name
        self.at = at
    }

    package init(role: InstanceRecord.Role, name: String, at: Date = Date()) {
        self.init(role: role, name: name, at: Int64(at.timeIntervalSince1970 * 1000))
    }
}

/// Takes an instance's own orders, each once: a signed one that was recorded is worth nothing when somebody plays it again. A value.
package struct InstanceOrderDesk: Sendable {
    package enum Decision: Equatable, Sendable {
        case taken
        /// Another's, or nobody's.
        case ignored
        /// Ours and signed, but not of this moment: played again, or from a clock that is wrong.
        case untimely
    }

    /// Between the clocks of two instances, and on the way.
    package static let tolerance = Duration.seconds(30)

    private let role: InstanceRecord.Role
    private let name: String
    /// The last one that was taken.
    private var last = Int64.min

    package init(role: InstanceRecord.Role, name: String) {
        self.role = role
        self.name = name
    }

    /// `now` is in milliseconds since 1970.
    package mutating func decide(_ order: InstanceOrder, isTrusted: Bool, at now: Int64) -> Decision {
        guard isTrusted, order.role == role, order.name == name else { return .ignored }
        let tolerance = Self.tolerance.components.seconds * 1000
        guard order.at > last, order.at >= now - tolerance, order.at <= now + tolerance else { return .untimely }
        last = order.at
        return .taken
    }

    package mutating func decide(_ order: InstanceOrder, isTrusted: Bool) -> Decision {
        decide(order, isTrusted: isTrusted, at: Int64(Date().timeIntervalSince1970 * 1000))
    }
}
