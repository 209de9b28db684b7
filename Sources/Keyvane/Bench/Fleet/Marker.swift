// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// What makes a change recognisable in any server's frames: `=^` and the change's number in eight hexadecimal digits.
enum Marker {
    static let length = 10
    private static let sign = UInt8(ascii: "=")
    private static let hat = UInt8(ascii: "^")

    /// A value of exactly `bytes` bytes that needs no escape in JSON.
    static func value(_ number: UInt32, bytes: Int) -> [UInt8] {
        var value: [UInt8] = [sign, hat]
        value.reserveCapacity(bytes)
        for shift in stride(from: 28, through: 0, by: -4) {
            let digit = UInt8(truncatingIfNeeded: number >> UInt32(shift)) & 15
            value.append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
        }
        value.append(contentsOf: repeatElement(UInt8(ascii: "x"), count: bytes - length))
        return value
    }

    /// Calls `found` with each number; nil for one that is cut off at the end. Reads may end anywhere, and each marker is found once: one that
    /// is cut between its first two bytes is found in the next read, one that is cut later in this one.
    static func scan(_ bytes: UnsafeRawBufferPointer, _ found: (UInt32?) -> Void) {
        guard let start = bytes.baseAddress else { return }
        let end = start + bytes.count
        var position = start
        while position < end, let hit = memchr(position, Int32(hat), end - position) {
            position = UnsafeRawPointer(hit) + 1
            // A hat may also be a byte of a frame's length.
            guard hit == start || position.load(fromByteOffset: -2, as: UInt8.self) == sign else { continue }
            var number: UInt32 = 0
            var digits = 0
            while digits < 8, position < end, let digit = digit(position.load(as: UInt8.self)) {
                number = number << 4 | digit
                digits += 1
                position += 1
            }
            if digits == 8 {
                found(number)
            } else if position == end {
                found(nil)
            }
        }
    }

    private static func digit(_ byte: UInt8) -> UInt32? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(byte - UInt8(ascii: "0"))
        case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt32(byte - UInt8(ascii: "a") + 10)
        default: nil
        }
    }
}
