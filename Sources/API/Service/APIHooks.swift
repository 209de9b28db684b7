// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// What the composition root adds to an API.
package struct APIHooks: Sendable {
    /// An operator wants this instance to drain, or to serve again, or its process ends: the registry's state, for instance. Whatever comes
    /// last holds.
    package var askedToDrain: @Sendable (_ isDraining: Bool) -> Void = { _ in }

    package init() {}
}
