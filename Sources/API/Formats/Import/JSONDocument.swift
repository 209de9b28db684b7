// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Reads JSON: either the configuration object as `GET E/configuration` answers it, or a flat map of names to text. It is a configuration
/// if its `entries` is an array; text under that name is an entry of a flat map. Places are JSON pointers (RFC 6901).
/// Owned by the caller for one document.
struct JSONDocument {
    private enum Kind: String {
        case text, flag = "true or false", count = "a whole number"

        func fits(_ value: JSONValue) -> Bool {
            switch (self, value) {
            case (.text, .string), (.flag, .bool), (.count, .integer): true
            case (.count, .number(let number)): number == number.rounded()
            case _: false
            }
        }
    }

    private static let configurationFields: [String: Kind] = [
        "environment": .text, "environmentId": .text, "revision": .count, "cursor": .text, "withheld": .count,
    ]
    private static let entryFields: [String: Kind] = [
        "name": .text, "value": .text, "isSecret": .flag, "version": .count, "revision": .count,
    ]

    private var collector: ImportCollector
    /// Faults are told in the document's order.
    private var order = 0

    static func read(_ bytes: [UInt8], into collector: inout ImportCollector) throws(FormatFault) {
        let text = TextDocument.withoutMark(bytes)
        let json: JSONValue
        do throws(JSONParser.Fault) {
            json = try JSONParser.parse(text)
        } catch {
            collector.refuse("is not JSON: \(error.reason) (\(place(of: error.offset, in: text)))", at: "")
            return
        }
        guard case .object(let members) = json else {
            collector.refuse("must be a configuration or a flat map of names to text, not \(json.kindName)", at: "")
            return
        }
        var reader = JSONDocument(collector: collector)
        let entries = members.lazy.compactMap { member -> [JSONValue]? in
            if case .array(let elements) = member.value, member.name == "entries" { elements } else { nil }
        }
        if let entries = entries.first { reader.configuration(members, entries) } else { reader.flatMap(members) }
        collector = reader.collector
    }

    private static func place(of offset: Int, in text: [UInt8]) -> String {
        let before = text[..<min(offset, text.count)]
        let line = 1 + before.count { $0 == UInt8(ascii: "\n") }
        return "line \(line), byte \(offset)"
    }

    private mutating func flatMap(_ members: [JSONMember]) {
        for member in members {
            if collector.isFull { return }
            order += 1
            let place = Self.pointer("", member.name)
            switch member.value {
            case .string(let value): collector.add(member.name, value, isSecret: nil, place: place, order: order)
            case .null: refuse("must be text, not null; write \"\" for an empty value", at: place)
            case .bool, .integer, .number: refuse("must be text, not \(member.value.kindName); put it in quotes", at: place)
            case .array, .object: refuse("must be text, not \(member.value.kindName); a flat map holds text only", at: place)
            }
        }
    }

    /// What the answer says about the environment is checked and then ignored: entries may go to another one.
    private mutating func configuration(_ members: [JSONMember], _ entries: [JSONValue]) {
        for member in members where member.name != "entries" {
            check(member, below: "", Self.configurationFields, others: ["entries"])
        }
        for (index, entry) in entries.enumerated() {
            if collector.isFull { return }
            self.entry(entry, at: "/entries/\(index)")
        }
    }

    private mutating func entry(_ json: JSONValue, at place: String) {
        guard case .object(let members) = json else {
            order += 1
            refuse("must be an object, not \(json.kindName)", at: place)
            return
        }
        var isAcceptable = true
        var texts: [String: String] = [:]
        var isSecret: Bool?
        for member in members {
            if !check(member, below: place, Self.entryFields) { isAcceptable = false }
            switch member.value {
            case .string(let text): texts[member.name] = text
            case .bool(let flag): isSecret = flag
            case .null, .integer, .number, .array, .object: break
            }
        }
        order += 1
        guard isAcceptable else { return }
        guard let name = texts["name"], let value = texts["value"] else {
            refuse("needs a name and a value", at: place)
            return
        }
        collector.add(name, value, isSecret: isSecret, place: place, order: order)
    }

    @discardableResult
    private mutating func check(_ member: JSONMember, below place: String, _ fields: [String: Kind], others: [String] = []) -> Bool {
        order += 1
        guard let kind = fields[member.name] else {
            let allowed = (fields.keys + others).sorted().joined(separator: ", ")
            refuse("is unknown; allowed are \(allowed)", at: Self.pointer(place, member.name))
            return false
        }
        if kind.fits(member.value) { return true }
        refuse("must be \(kind.rawValue), not \(member.value.kindName)", at: Self.pointer(place, member.name))
        return false
    }

    private mutating func refuse(_ detail: String, at place: String) {
        collector.faults.add(detail, at: place, order: order)
    }

    /// What is no entry's name is the caller's text: too long for an error message, it is cut.
    private static func pointer(_ parent: String, _ name: String) -> String {
        var token = ""
        for scalar in (ImportCollector.isName(name) ? name : FaultList.shown(name)).unicodeScalars {
            switch scalar {
            case "~": token += "~0"
            case "/": token += "~1"
            case _: token.unicodeScalars.append(scalar)
            }
        }
        return parent + "/" + token
    }
}
