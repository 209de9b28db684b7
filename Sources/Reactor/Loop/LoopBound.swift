// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Carries a value that is confined to a loop through `@Sendable` closures.
///
/// Unchecked: the value is only reachable on the loop, which every access asserts. The last reference must also be dropped there, or the
/// value must not care where it is freed.
package struct LoopBound<Value>: @unchecked Sendable {
    private let bound: Value
    package let loop: Loop

    package init(_ value: Value, loop: Loop) {
        loop.assertCurrent()
        bound = value
        self.loop = loop
    }

    package var value: Value {
        loop.assertCurrent()
        return bound
    }
}
