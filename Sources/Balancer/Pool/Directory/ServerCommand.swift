// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// What an operator wants of a server, whatever its checks say. HAProxy's words.
package enum AdministrativeState: String, Sendable, CaseIterable {
    case ready
    /// Pinned clients are still served until the deadline, new ones go elsewhere; then its tunnels are closed at the drain's pace.
    case drain
    /// No traffic and no checks.
    case maint
}

/// An operator's change of one server at run time. It survives a change of the configuration file that doesn't touch the same value.
package enum ServerCommand: Sendable, Equatable {
    case state(AdministrativeState)
    /// 0 to 256.
    case weight(Int)
    case maxConnections(Int)
    case route(String?)
    case add(ServerConfiguration)
    /// Its tunnels and exchanges go on until they end.
    case remove
}
