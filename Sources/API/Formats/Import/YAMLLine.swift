// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// One line of a YAML document, judged by itself. A view of the document's bytes, for `YAMLDocument`.
struct YAMLLine {
    /// What the first line of an entry can be.
    enum Entry {
        case fault(String)
        case bare(name: String)
        /// `value` is where the scalar begins in the document.
        case scalar(name: String, value: Int)
    }

    private let document: [UInt8]
    private let end: Int
    let start: Int
    /// Spaces only: a tab indents nothing in YAML.
    let indentation: Int

    init(_ document: [UInt8], _ range: Range<Int>) {
        self.document = document
        start = range.lowerBound
        end = range.upperBound
        var content = start
        while content < end, document[content] == UInt8(ascii: " ") { content += 1 }
        indentation = content - start
    }

    var text: ArraySlice<UInt8> { document[start..<end] }

    var first: UInt8? { byte(start + indentation) }

    var isBlankOrComment: Bool { isBlankOrComment(from: start) }

    func isBlankOrComment(from index: Int) -> Bool {
        let index = pastBlanks(index)
        return index == end || document[index] == UInt8(ascii: "#")
    }

    /// `---` and `...` count only in the first column.
    func isMarker(_ marker: StaticString) -> Bool {
        let isThere = marker.withUTF8Buffer { text.starts(with: $0) }
        return isThere && endsWord(start + marker.utf8CodeUnitCount)
    }

    var isListItem: Bool { isIndicator(UInt8(ascii: "-"), at: start + indentation) }

    /// How a map without entries is written.
    var isEmptyMap: Bool {
        document[start + indentation..<end].starts(with: "{}".utf8) && isBlankOrComment(from: start + indentation + 2)
    }

    /// Where an entry should begin: what shows that the document as a whole is something else.
    var faultOfWhole: String? {
        let content = start + indentation
        switch document[content] {
        case UInt8(ascii: "-") where isListItem: return "is an item of a list; the document must be a map, one NAME: value a line"
        case UInt8(ascii: "["), UInt8(ascii: "{"): return "opens a bracket; write one NAME: value a line, or import it as json"
        case UInt8(ascii: "?") where isIndicator(UInt8(ascii: "?"), at: content): return "is a key in YAML's long form; write NAME: value"
        case UInt8(ascii: "&"), UInt8(ascii: "*"): return "has an anchor or alias, which are not read; write the entries out"
        case UInt8(ascii: "!"): return "has a tag, which is not read; remove it"
        case UInt8(ascii: "\t"): return "is indented with a tab; use spaces"
        case _: return nil
        }
    }

    func entry(isName: (String) -> Bool) -> Entry {
        guard let (nameRange, colon) = key else {
            return .fault("has no colon and blank after a name; write NAME: value, and quotes around a value of several lines")
        }
        let name = String(decoding: document[nameRange], as: UTF8.self)
        if name == "<<" { return .fault("merges another map, which is not read; write the entries out") }
        guard isName(name) else { return .fault("has no valid name before the colon; \(FormatFault.nameRule)") }
        let value = pastBlanks(colon + 1)
        if isBlankOrComment(from: value) { return .bare(name: name) }
        if let kind = otherThanScalar(at: value) {
            return .fault("gives \(FaultList.shown(name)) \(kind); a flat map holds text only, so put the value in double quotes")
        }
        return .scalar(name: name, value: value)
    }

    /// The name without its quotes, and the colon after it.
    private var key: (Range<Int>, Int)? {
        let content = start + indentation
        if let quote = first, quote == UInt8(ascii: "\"") || quote == UInt8(ascii: "'") {
            guard let closing = document[(content + 1)..<end].firstIndex(of: quote) else { return nil }
            let colon = pastBlanks(closing + 1)
            return isIndicator(UInt8(ascii: ":"), at: colon) ? (content + 1..<closing, colon) : nil
        }
        guard let colon = (content..<end).first(where: { isIndicator(UInt8(ascii: ":"), at: $0) }) else { return nil }
        var nameEnd = colon
        while nameEnd > content, TextDocument.isBlank(document[nameEnd - 1]) { nameEnd -= 1 }
        return (content..<nameEnd, colon)
    }

    /// A scalar begins with none of these unless it is quoted (YAML 1.2, section 5.3).
    private func otherThanScalar(at index: Int) -> String? {
        switch document[index] {
        case UInt8(ascii: "["), UInt8(ascii: "{"): "a map or a list"
        case UInt8(ascii: "&"): "an anchor"
        case UInt8(ascii: "*"): "an alias"
        case UInt8(ascii: "!"): "a tag"
        case UInt8(ascii: "-") where isIndicator(UInt8(ascii: "-"), at: index): "a list"
        case UInt8(ascii: "?") where isIndicator(UInt8(ascii: "?"), at: index): "a map"
        case _: nil
        }
    }

    /// Some characters are indicators only with a blank or nothing after them.
    private func isIndicator(_ character: UInt8, at index: Int) -> Bool {
        byte(index) == character && endsWord(index + 1)
    }

    private func endsWord(_ index: Int) -> Bool {
        byte(index).map(TextDocument.isBlank) ?? true
    }

    private func byte(_ index: Int) -> UInt8? {
        index < end ? document[index] : nil
    }

    private func pastBlanks(_ index: Int) -> Int {
        var index = index
        while let byte = byte(index), TextDocument.isBlank(byte) { index += 1 }
        return index
    }
}
