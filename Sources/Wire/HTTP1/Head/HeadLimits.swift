// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Above either of them a head is refused with 431.
package struct HeadLimits: Sendable, Equatable {
    package var bytes: Int
    package var fields: Int

    package init(bytes: Int = 32 << 10, fields: Int = 100) {
        self.bytes = bytes
        self.fields = fields
    }
}

package enum HeadResult: Sendable, Equatable {
    /// Feed the same bytes again with more at their end.
    case incomplete
    /// The head is the first `length` bytes; the body or the next message starts behind it.
    case complete(length: Int)
}
