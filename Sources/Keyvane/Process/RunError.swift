// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// A failure at run time (exit code 1), as opposed to a wrong setting or flag (2). Its text says what to do.
package struct RunError: Error, CustomStringConvertible {
    package let description: String

    package init(_ description: String) {
        self.description = description
    }
}
