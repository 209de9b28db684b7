// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Reads dotenv as its users write it: `NAME=value` or `export NAME=value`, plain or in one of three kinds of quotes, with comments.
/// A plain value ends with its line or with a blank and `#`, and is trimmed. Quoted values may have several lines. Single quotes and
/// backticks are literal; double quotes know the escapes of `escaped`. `${X}` stays as it is: the reader at the end may expand it.
/// Owned by the caller for one document that `TextDocument` has checked; linear in its length.
struct DotenvParser {
    struct Assignment: Equatable {
        let name: String
        let value: String
        let line: Int
    }

    let text: [UInt8]
    var position = 0
    var line = 1
    private(set) var faults = FaultList()
    private let isName: (String) -> Bool
    /// After a quote that nothing closes, the lines up to the next assignment are most likely its value: one fault is enough.
    private var isRecovering = false

    init(_ text: [UInt8], isName: @escaping (String) -> Bool) {
        self.text = text
        self.isName = isName
    }

    var nextByte: UInt8? { position < text.count ? text[position] : nil }

    /// The next assignment that can be read. Nil at the end, or when there are more faults than can be told.
    mutating func next() -> Assignment? {
        while !faults.isFull {
            skipBlanks()
            guard let byte = nextByte else { return nil }
            if TextDocument.isLineBreak(byte) || byte == UInt8(ascii: "#") {
                skipLine()
            } else if let assignment = assignment() {
                isRecovering = false
                return assignment
            }
        }
        return nil
    }

    private mutating func assignment() -> Assignment? {
        let start = line
        guard let name = name(), let value = value() else { return nil }
        return Assignment(name: name, value: value, line: start)
    }

    /// Up to the equals sign and past it. Without a name the whole line is passed over.
    private mutating func name() -> String? {
        let end = TextDocument.lineEnd(of: text, from: position)
        skipExport(end)
        guard let equals = text[position..<end].firstIndex(of: UInt8(ascii: "=")) else {
            refuseLine("is no assignment; write NAME=value, or put # before a comment and quotes around a value of several lines")
            return nil
        }
        var nameEnd = equals
        while nameEnd > position, TextDocument.isBlank(text[nameEnd - 1]) { nameEnd -= 1 }
        let name = String(decoding: text[position..<nameEnd], as: UTF8.self)
        guard isName(name) else {
            refuseLine("has no valid name before the equals sign; \(FormatFault.nameRule)")
            return nil
        }
        position = equals + 1
        return name
    }

    /// `export` is also a name, where nothing but the equals sign follows it.
    private mutating func skipExport(_ end: Int) {
        let word: StaticString = "export"
        var after = position + word.utf8CodeUnitCount
        guard after < end, TextDocument.isBlank(text[after]),
            word.withUTF8Buffer({ text[position..<after].elementsEqual($0) })
        else { return }
        while after < end, TextDocument.isBlank(text[after]) { after += 1 }
        if after < end, text[after] != UInt8(ascii: "=") { position = after }
    }

    private mutating func value() -> String? {
        skipBlanks()
        switch nextByte {
        case UInt8(ascii: "'")?, UInt8(ascii: "\"")?, UInt8(ascii: "`")?: return quoted()
        case _: return plain()
        }
    }

    /// A `#` starts a comment only after a blank, so that colours and fragments of addresses stay whole.
    private mutating func plain() -> String {
        let start = position
        let lineEnd = TextDocument.lineEnd(of: text, from: start)
        var end = start
        while end < lineEnd {
            if text[end] == UInt8(ascii: "#"), TextDocument.isBlank(text[end - 1]) { break }
            end += 1
        }
        while end > start, TextDocument.isBlank(text[end - 1]) { end -= 1 }
        skipLine()
        return String(decoding: text[start..<end], as: UTF8.self)
    }

    // MARK: Moving on

    mutating func skipBlanks() {
        while let byte = nextByte, TextDocument.isBlank(byte) { position += 1 }
    }

    mutating func skipLine() {
        position = TextDocument.nextLine(of: text, after: TextDocument.lineEnd(of: text, from: position))
        line += 1
    }

    mutating func refuse(_ detail: String, line: Int) {
        faults.add(detail, line: line)
    }

    private mutating func refuseLine(_ detail: String) {
        if !isRecovering { refuse(detail, line: line) }
        skipLine()
    }

    mutating func recover() {
        isRecovering = true
        skipLine()
    }
}
