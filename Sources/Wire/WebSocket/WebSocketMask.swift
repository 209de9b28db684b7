// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// RFC 6455 section 5.3: XOR with a repeated four-byte key, eight bytes at a time.
enum WebSocketMask {
    /// The key's first byte on the wire is its most significant one. `offset` is how far into the payload `bytes` start.
    static func apply(_ key: UInt32, to bytes: UnsafeMutableBufferPointer<UInt8>, from offset: Int) {
        let shift = UInt32(offset & 3) * 8
        let turned = shift == 0 ? key : key << shift | key >> (32 - shift)
        let word = UInt64(turned) << 32 | UInt64(turned)
        let wide = word.bigEndian
        let raw = UnsafeMutableRawBufferPointer(bytes)
        var position = 0
        while position + 8 <= bytes.count {
            let value = raw.loadUnaligned(fromByteOffset: position, as: UInt64.self)
            raw.storeBytes(of: value ^ wide, toByteOffset: position, as: UInt64.self)
            position += 8
        }
        while position < bytes.count {
            bytes[position] ^= UInt8(truncatingIfNeeded: turned >> UInt32(24 - 8 * (position & 3)))
            position += 1
        }
    }
}
