// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Foundation

/// A committed transaction that watchers may not have heard of yet: revisions `first` to `last` of an environment.
package struct Announcement: Hashable, Sendable {
    package let environmentID: UUID
    package let first: Int64
    package let last: Int64

    package init(environmentID: UUID, first: Int64, last: Int64) {
        self.environmentID = environmentID
        self.first = first
        self.last = last
    }
}
