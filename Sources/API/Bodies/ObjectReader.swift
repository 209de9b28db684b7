// Keyvane
// SPDX-License-Identifier: Apache-2.0

// A body comes in as bytes, becomes a `JSONValue` (JSONParser), is read field by field through an `ObjectReader`, and arrives in a
// handler as a plain struct. Answers go the other way through `JSONWriter`. Neither uses Codable: a refused body must name every
// field at fault by its pointer, unknown ones included, and an answer must have its members in the documented order.
// All of it belongs to the one request that reads or writes it.

/// Reads the members of one JSON object and collects what is wrong with them. A field at fault reads as an empty value;
/// `check()` throws all faults together before anybody can use it.
struct ObjectReader {
    private let pointer: String
    /// Of something that isn't an object there is nothing more to say than that.
    private var isObject = true
    private var members: [String: JSONValue] = [:]
    private(set) var faults: [FieldFault] = []

    init(_ value: JSONValue, at pointer: String = "", fields: Set<String>) {
        self.pointer = pointer
        guard case .object(let object) = value else {
            faults.append(FieldFault(pointer, "must be an object, not \(value.kindName)"))
            isObject = false
            return
        }
        let allowed = fields.sorted().joined(separator: ", ")
        for member in object {
            if fields.contains(member.name) {
                members[member.name] = member.value
            } else {
                faults.append(FieldFault(path(member.name), "is unknown; allowed are \(allowed)"))
            }
        }
    }

    /// To be called after the last field and before the first is used.
    func check() throws(Problem) {
        if !faults.isEmpty { throw .invalidBody(faults) }
    }

    /// A field that must be there.
    mutating func text(_ name: String, _ rule: TextRule) -> String {
        switch members[name] {
        case .string(let text)?:
            refuse(name, rule.fault(text))
            return text
        case let value:
            refuse(name, value.map { "must be text, not \($0.kindName)" } ?? "is missing")
            return ""
        }
    }

    /// Absent and null are told apart: null clears what is stored, absent leaves it alone.
    mutating func update(_ name: String, _ rule: TextRule) -> FieldUpdate<String> {
        switch members[name] {
        case nil: return .keep
        case .null?: return .clear
        case .some: return .set(text(name, rule))
        }
    }

    /// Absent and null are the same.
    mutating func optionalText(_ name: String, _ rule: TextRule) -> String? {
        update(name, rule).value
    }

    mutating func optionalFlag(_ name: String) -> Bool? {
        switch members[name] {
        case nil: return nil
        case .bool(let flag)?: return flag
        case let value?:
            refuse(name, "must be true or false, not \(value.kindName)")
            return nil
        }
    }

    /// Faulty elements are reported at their own place, `/delete/3`.
    mutating func texts(_ name: String, _ rule: TextRule) -> [String] {
        list(name) { reader, element, pointer in
            guard case .string(let text) = element else {
                reader.refuse(at: pointer, "must be text, not \(element.kindName)")
                return nil
            }
            reader.refuse(at: pointer, rule.fault(text))
            return text
        }
    }

    /// A whole number that must be there.
    mutating func integer(_ name: String, in range: ClosedRange<Int64>) -> Int64 {
        switch members[name] {
        case .integer(let number)? where range.contains(number): return number
        // To JSON Schema 7.0 is a whole number too.
        case .number(let number)? where Int64(exactly: number).map(range.contains) ?? false: return Int64(number)
        case .integer?, .number?:
            let allowed = range.upperBound == .max ? "of at least \(range.lowerBound)" : "from \(range.lowerBound) to \(range.upperBound)"
            refuse(name, "must be a whole number \(allowed)")
        case let value: refuse(name, value.map { "must be a whole number, not \($0.kindName)" } ?? "is missing")
        }
        return range.lowerBound
    }

    /// The faults of the objects become this reader's faults.
    mutating func objects<Item>(_ name: String, fields: Set<String>, _ read: (inout ObjectReader) -> Item) -> [Item] {
        list(name) { reader, element, pointer in
            var item = ObjectReader(element, at: pointer, fields: fields)
            let value = read(&item)
            reader.faults += item.faults
            return value
        }
    }

    func contains(_ name: String) -> Bool { members[name] != nil }

    mutating func refuse(_ name: String, _ detail: String?) {
        refuse(at: path(name), detail)
    }

    /// - Parameter path: a pointer below this object, without its first slash.
    mutating func refuse(below path: String, _ detail: String?) {
        refuse(at: pointer + "/" + path, detail)
    }

    mutating func refuse(at pointer: String, _ detail: String?) {
        if let detail, isObject { faults.append(FieldFault(pointer, detail)) }
    }

    /// Absent reads as empty.
    private mutating func list<Item>(_ name: String, _ read: (inout ObjectReader, JSONValue, String) -> Item?) -> [Item] {
        switch members[name] {
        case nil: return []
        case .array(let elements)?:
            return elements.enumerated().compactMap { index, element in read(&self, element, path(name) + "/\(index)") }
        case let value?:
            refuse(name, "must be an array, not \(value.kindName)")
            return []
        }
    }

    /// RFC 6901, section 3. A field's name is the caller's text: what is too long for an error message is cut.
    private func path(_ name: String) -> String {
        var token = ""
        for character in name.unicodeScalars.prefix(255) {
            switch character {
            case "~": token += "~0"
            case "/": token += "~1"
            default: token.unicodeScalars.append(character)
            }
        }
        return pointer + "/" + token
    }
}

/// What a body says about a field that may already have a value.
enum FieldUpdate<Value: Sendable>: Sendable {
    case keep
    case clear
    case set(Value)

    var value: Value? {
        switch self {
        case .keep, .clear: nil
        case .set(let value): value
        }
    }
}

extension FieldUpdate: Equatable where Value: Equatable {}
