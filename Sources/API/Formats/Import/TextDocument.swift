// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// What holds for every document of lines, whatever its format: UTF-8 without NUL, and a line ends with LF, CR LF or CR.
enum TextDocument {
    private static let mark: [UInt8] = [0xEF, 0xBB, 0xBF]

    /// Windows' editors put a byte order mark before the text.
    static func withoutMark(_ bytes: [UInt8]) -> [UInt8] {
        bytes.starts(with: mark) ? Array(bytes[mark.count...]) : bytes
    }

    /// The text without its mark.
    /// - Throws: every line that is no text.
    static func checked(_ bytes: [UInt8]) throws(FormatFault) -> [UInt8] {
        let text = withoutMark(bytes)
        if !text.contains(0), String(validating: text, as: UTF8.self) != nil { return text }
        var faults = FaultList()
        if bytes.starts(with: [0xFF, 0xFE]) || bytes.starts(with: [0xFE, 0xFF]) {
            faults.add("begins a document in UTF-16; save it as UTF-8", line: 1)
            try faults.check()
        }
        var start = 0
        var number = 1
        while start < text.count, !faults.isFull {
            let end = lineEnd(of: text, from: start)
            let line = text[start..<end]
            if line.contains(0) {
                faults.add("has a NUL character, which no value can hold; remove it", line: number)
            } else if String(validating: line, as: UTF8.self) == nil {
                faults.add("is not UTF-8; save the document as UTF-8", line: number)
            }
            start = nextLine(of: text, after: end)
            number += 1
        }
        try faults.check()
        return text
    }

    /// Where the line that `start` stands in ends, without the bytes that end it.
    static func lineEnd(of text: [UInt8], from start: Int) -> Int {
        var end = start
        while end < text.count, !isLineBreak(text[end]) { end += 1 }
        return end
    }

    /// Past the line break that stands at `end`.
    static func nextLine(of text: [UInt8], after end: Int) -> Int {
        if end + 1 < text.count, text[end] == UInt8(ascii: "\r"), text[end + 1] == UInt8(ascii: "\n") { return end + 2 }
        return min(end + 1, text.count)
    }

    static func isLineBreak(_ byte: UInt8) -> Bool { byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r") }

    static func isBlank(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }
}
