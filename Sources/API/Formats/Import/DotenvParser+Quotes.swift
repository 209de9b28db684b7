// Keyvane
// SPDX-License-Identifier: Apache-2.0

extension DotenvParser {
    /// From the opening quote to the end of the line that the closing one stands in. Line breaks in a value are LF however the document
    /// writes them: an editor's CR LF must not get into a key or certificate. A CR that is meant is written as an escape.
    mutating func quoted() -> String? {
        let quote = text[position]
        let firstLine = line
        var value: [UInt8] = []
        var index = position + 1
        var clean = index
        var breaks = 0
        while index < text.count {
            let byte = text[index]
            if byte == quote {
                value += text[clean..<index]
                position = index + 1
                line += breaks
                return nothingFollows(firstLine) ? String(decoding: value, as: UTF8.self) : nil
            } else if TextDocument.isLineBreak(byte) {
                value += text[clean..<index]
                value.append(UInt8(ascii: "\n"))
                index = TextDocument.nextLine(of: text, after: index)
                clean = index
                breaks += 1
            } else if byte == UInt8(ascii: "\\"), quote == UInt8(ascii: "\""), let escaped = escaped(at: index + 1) {
                value += text[clean..<index]
                value.append(escaped)
                index += 2
                clean = index
            } else {
                index += 1
            }
        }
        refuse("opens a quote that nothing closes; close it, or leave both quotes away", line: firstLine)
        // The rest of this line and of the value, and then what comes after it.
        recover()
        return nil
    }

    /// What all dotenv readers agree on. Other backslashes stay: they are parts of paths and patterns.
    private func escaped(at index: Int) -> UInt8? {
        guard index < text.count else { return nil }
        switch text[index] {
        case UInt8(ascii: "n"): return UInt8(ascii: "\n")
        case UInt8(ascii: "r"): return UInt8(ascii: "\r")
        case UInt8(ascii: "t"): return UInt8(ascii: "\t")
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "$"): return text[index]
        default: return nil
        }
    }

    /// After a closing quote: the end of the line, or a comment.
    private mutating func nothingFollows(_ firstLine: Int) -> Bool {
        let lastLine = line
        skipBlanks()
        let byte = nextByte
        skipLine()
        guard let byte, !TextDocument.isLineBreak(byte), byte != UInt8(ascii: "#") else { return true }
        let quote = firstLine == lastLine ? "the closing quote" : "the quote that closes the one of line \(firstLine)"
        refuse("has text after \(quote); put all of the value in one pair of quotes, or # before a comment", line: lastLine)
        return false
    }
}
