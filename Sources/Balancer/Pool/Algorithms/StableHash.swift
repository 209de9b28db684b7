// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// A hash that is the same in every process and version: balancers side by side must agree. Not for secrets, and nothing that an
/// opponent couldn't steer; bounded loads are the answer to that.
package enum StableHash {
    /// FNV-1a over 64 bits, its bits spread at the end.
    package static func of(_ text: String) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return spread(hash)
    }

    static func combine(_ left: UInt64, _ right: UInt64) -> UInt64 {
        spread(left ^ right &* 0x9E37_79B9_7F4A_7C15)
    }

    private static func spread(_ value: UInt64) -> UInt64 {
        var value = value
        value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
        return value ^ value >> 31
    }
}
