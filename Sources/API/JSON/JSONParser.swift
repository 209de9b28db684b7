// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Strict RFC 8259: valid UTF-8, no byte order mark, no lone surrogate, no name twice in an object, nothing after the value.
/// Owned by the caller for one text; linear in its length, with a limit on nesting so that the stack is bounded too.
package struct JSONParser {
    package static let maximumDepth = 32

    package struct Fault: Error, Equatable {
        package let offset: Int
        package let reason: String
    }

    let bytes: [UInt8]
    var position = 0

    /// - Throws: the first fault and the byte it stands at. The caller's text is not repeated in it: it may be a secret.
    package static func parse(_ bytes: [UInt8]) throws(Fault) -> JSONValue {
        if bytes.isEmpty { throw Fault(offset: 0, reason: "the body is empty") }
        guard String(validating: bytes, as: UTF8.self) != nil else {
            throw Fault(offset: 0, reason: "the body is not UTF-8")
        }
        var parser = JSONParser(bytes: bytes)
        let value = try parser.value(depth: 0)
        parser.skipBlanks()
        if parser.position < bytes.count { throw parser.fault("something follows the JSON value") }
        return value
    }

    private init(bytes: [UInt8]) {
        self.bytes = bytes
    }

    var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    /// At the end of the text every reason is the same one, whatever was expected there.
    func fault(_ reason: String) -> Fault {
        Fault(offset: position, reason: position < bytes.count ? reason : "the text ends too early")
    }

    private mutating func skipBlanks() {
        while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
    }

    private mutating func value(depth: Int) throws(Fault) -> JSONValue {
        if depth > Self.maximumDepth { throw fault("it is nested more than \(Self.maximumDepth) levels deep") }
        skipBlanks()
        guard let byte = next else { throw fault("a value is missing") }
        switch byte {
        case UInt8(ascii: "{"): return try object(depth: depth)
        case UInt8(ascii: "["): return try array(depth: depth)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try literal("true", .bool(true))
        case UInt8(ascii: "f"): return try literal("false", .bool(false))
        case UInt8(ascii: "n"): return try literal("null", .null)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
        default: throw fault("a value can't start here")
        }
    }

    private mutating func literal(_ text: StaticString, _ value: JSONValue) throws(Fault) -> JSONValue {
        let end = position + text.utf8CodeUnitCount
        let matches = text.withUTF8Buffer { text in end <= bytes.count && bytes[position..<end].elementsEqual(text) }
        if !matches { throw fault("a value can't start here") }
        position = end
        return value
    }

    private mutating func object(depth: Int) throws(Fault) -> JSONValue {
        position += 1
        var members: [JSONMember] = []
        // Beside the list, so that an object of a hundred thousand members is not searched a hundred thousand times.
        var names: Set<String> = []
        skipBlanks()
        if next == UInt8(ascii: "}") {
            position += 1
            return .object([])
        }
        while true {
            skipBlanks()
            if next != UInt8(ascii: "\"") { throw fault("a name in quotes is missing") }
            let start = position
            let name = try string()
            if !names.insert(name).inserted {
                position = start
                throw fault("a name comes twice in one object")
            }
            skipBlanks()
            if next != UInt8(ascii: ":") { throw fault("a colon is missing") }
            position += 1
            members.append(JSONMember(name: name, value: try value(depth: depth + 1)))
            if try !another(before: UInt8(ascii: "}")) { return .object(members) }
        }
    }

    private mutating func array(depth: Int) throws(Fault) -> JSONValue {
        position += 1
        var elements: [JSONValue] = []
        skipBlanks()
        if next == UInt8(ascii: "]") {
            position += 1
            return .array([])
        }
        while true {
            elements.append(try value(depth: depth + 1))
            if try !another(before: UInt8(ascii: "]")) { return .array(elements) }
        }
    }

    /// Past a comma, or past the closing bracket. A comma before the bracket then fails as a missing value.
    private mutating func another(before closing: UInt8) throws(Fault) -> Bool {
        skipBlanks()
        guard let byte = next, byte == UInt8(ascii: ",") || byte == closing else { throw fault("a comma is missing") }
        position += 1
        return byte != closing
    }

    /// RFC 8259, section 6: no leading zero, no plus, a digit on both sides of the point.
    private mutating func number() throws(Fault) -> JSONValue {
        let start = position
        if next == UInt8(ascii: "-") { position += 1 }
        let firstDigit = position
        try digits()
        if bytes[firstDigit] == UInt8(ascii: "0"), position > firstDigit + 1 { throw fault("a number can't start with 0") }
        var isWhole = true
        if next == UInt8(ascii: ".") {
            isWhole = false
            position += 1
            try digits()
        }
        if next == UInt8(ascii: "e") || next == UInt8(ascii: "E") {
            isWhole = false
            position += 1
            if next == UInt8(ascii: "+") || next == UInt8(ascii: "-") { position += 1 }
            try digits()
        }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        if isWhole, let integer = Int64(text) { return .integer(integer) }
        // 1e999 is valid JSON, but nothing that we could keep.
        guard let number = Double(text), number.isFinite else { throw fault("the number is out of range") }
        return .number(number)
    }

    private mutating func digits() throws(Fault) {
        let start = position
        while let byte = next, byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") { position += 1 }
        if position == start { throw fault("a digit is missing") }
    }
}
