// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// A pattern over entry names: `*` is any run of characters, `?` exactly one.
package struct NameGlob: Hashable, Sendable, Comparable, CustomStringConvertible {
    private let pattern: [UInt8]

    /// Nil where the text holds something that no entry name can, or more than 255 bytes.
    package init?(_ text: String) {
        let bytes = Array(text.utf8)
        let plain = bytes.map { $0 == UInt8(ascii: "*") || $0 == UInt8(ascii: "?") ? UInt8(ascii: "_") : $0 }
        // A pattern may begin with what a name may not begin with, so one letter is put before it.
        guard !bytes.isEmpty, bytes.count <= 255, InputRules.isEntryName("_" + String(decoding: plain.prefix(254), as: UTF8.self)) else {
            return nil
        }
        pattern = bytes
    }

    package var description: String { String(decoding: pattern, as: UTF8.self) }
    package var isEverything: Bool { pattern.allSatisfy { $0 == UInt8(ascii: "*") } }

    package static func < (left: NameGlob, right: NameGlob) -> Bool { left.pattern.lexicographicallyPrecedes(right.pattern) }

    package func matches(_ name: String) -> Bool {
        var name = name
        return name.withUTF8 { matches($0) }
    }

    /// Linear but for backtracking to the last star, which bounds it by the product of both lengths.
    private func matches(_ name: UnsafeBufferPointer<UInt8>) -> Bool {
        var (position, place) = (0, 0)
        var star: (position: Int, place: Int)?
        while place < name.count {
            if position < pattern.count, pattern[position] == UInt8(ascii: "*") {
                star = (position, place)
                position += 1
            } else if position < pattern.count, pattern[position] == name[place] || pattern[position] == UInt8(ascii: "?") {
                position += 1
                place += 1
            } else if let last = star {
                star = (last.position, last.place + 1)
                position = last.position + 1
                place = last.place + 1
            } else {
                return false
            }
        }
        return pattern[position...].allSatisfy { $0 == UInt8(ascii: "*") }
    }
}
