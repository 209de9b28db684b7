// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// All `Sec-WebSocket-Extensions` lines of a head as values (RFC 6455 section 9.1), in their order.
struct ExtensionList {
    struct Element {
        let name: String
        var parameters: [(name: String, value: String?)] = []
    }

    private(set) var elements: [Element] = []

    /// nil: not of that grammar. Empty list elements are skipped, as everywhere in HTTP.
    init?(_ fields: HTTPFields, in bytes: Span<UInt8>) {
        for line in fields.all(.secWebSocketExtensions) {
            let found = bytes.withUnsafeBufferPointer { bytes in
                var reader = ExtensionReader(bytes, line)
                return reader.elements()
            }
            guard let found else { return nil }
            elements += found
        }
    }
}

/// Lives for one line, inside the closure that lends the bytes.
private struct ExtensionReader {
    private let bytes: UnsafeBufferPointer<UInt8>
    private var position: Int
    private let end: Int

    init(_ bytes: UnsafeBufferPointer<UInt8>, _ line: Range<Int>) {
        self.bytes = bytes
        position = line.lowerBound
        end = line.upperBound
    }

    mutating func elements() -> [ExtensionList.Element]? {
        var elements: [ExtensionList.Element] = []
        while true {
            skipBlanks()
            if position == end { return elements }
            if take(ASCII.comma) { continue }
            guard let element = element() else { return nil }
            elements.append(element)
            guard position == end || take(ASCII.comma) else { return nil }
        }
    }

    private mutating func element() -> ExtensionList.Element? {
        guard let name = token() else { return nil }
        var element = ExtensionList.Element(name: name)
        skipBlanks()
        while take(ASCII.semicolon) {
            skipBlanks()
            guard let name = token() else { return nil }
            skipBlanks()
            var value: String?
            if take(ASCII.equals) {
                skipBlanks()
                value = position < end && bytes[position] == ASCII.quote ? quoted() : token()
                guard value != nil else { return nil }
                skipBlanks()
            }
            element.parameters.append((name, value))
        }
        return element
    }

    private mutating func skipBlanks() {
        while position < end, ASCII.isBlank(bytes[position]) { position += 1 }
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard position < end, bytes[position] == byte else { return false }
        position += 1
        return true
    }

    private mutating func token() -> String? {
        let start = position
        while position < end, ASCII.isToken(bytes[position]) { position += 1 }
        guard position > start else { return nil }
        return String(decoding: UnsafeBufferPointer(rebasing: bytes[start..<position]), as: UTF8.self)
    }

    /// Without its quotes and backslashes it must be a token too.
    private mutating func quoted() -> String? {
        position += 1
        var text: [UInt8] = []
        while position < end {
            var byte = bytes[position]
            position += 1
            if byte == ASCII.quote { return text.isEmpty ? nil : String(decoding: text, as: UTF8.self) }
            if byte == ASCII.backslash {
                guard position < end else { return nil }
                byte = bytes[position]
                position += 1
            }
            guard ASCII.isToken(byte) else { return nil }
            text.append(byte)
        }
        return nil
    }
}
