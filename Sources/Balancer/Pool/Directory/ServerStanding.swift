// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// What follows for a server's traffic from what operators, checks and traffic say of it.
package enum ServerStanding: String, Sendable, CaseIterable {
    case up
    /// An operator drains it: pinned clients are still served, new ones go elsewhere.
    case drain
    /// Its drain's deadline has passed: it gets nothing any more, and its tunnels are being closed.
    case drained
    /// Its own wish: no new requests and tunnels, those it has stay.
    case draining
    case down
    /// Connects failed; the checks have not confirmed it yet.
    case ejected
    /// An operator's wish: no traffic and no checks.
    case maint

    package init(_ administration: AdministrativeStateMachine, _ health: HealthStateMachine.Standing) {
        switch (administration.wish, health) {
        case (.maint, _): self = .maint
        // Before what checks say: in a panic servers that are down get requests, and this one must not.
        case (.drain, _) where administration.isDrained: self = .drained
        case (_, .down): self = .down
        case (_, .ejected): self = .ejected
        case (_, .draining): self = .draining
        case (.drain, .up): self = .drain
        case (.ready, .up): self = .up
        }
    }
}
