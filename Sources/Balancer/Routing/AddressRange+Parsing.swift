// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Reactor

extension AddressRange {
    package init(parsing text: String) throws(BalancerError) {
        guard let range = AddressRange(text) else {
            throw BalancerError(.addressRangeInvalid, "'\(text)' is no address range: write 10.0.0.0/8, fd00::/8 or an address")
        }
        self = range
    }
}
