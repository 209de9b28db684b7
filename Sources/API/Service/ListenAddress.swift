// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Where the API listens; the port is the one it got, where it asked for any.
package struct ListenAddress: Hashable, Sendable, CustomStringConvertible {
    package let host: String
    package let port: Int

    package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
