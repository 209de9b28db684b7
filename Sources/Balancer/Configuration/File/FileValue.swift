// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Yams

/// A value of the file with its place. What asks it for a type gets nil where it is none, and the fault is noted.
struct FileValue {
    let node: Node
    let key: String
    let reading: FileReading
    let line: Int?

    init(node: Node, key: String, reading: FileReading, line: Int?) {
        self.node = node
        self.key = key
        self.reading = reading
        // Of the key where there is one: a mapping's own begins a line later.
        self.line = line ?? node.mark?.line
        reading.found(key, line: self.line)
    }

    func fault(_ problem: String) {
        reading.fault(key, line: line, problem)
    }

    /// Stands for what could not be read, so that the members of a list behind it keep their numbers. The file is refused anyway.
    func orPlaceholder<Value>(_ value: Value?, _ placeholder: @autoclosure () -> Value) -> Value {
        if let value { return value }
        reading.unreadable(key)
        return placeholder()
    }

    // MARK: Scalars

    /// Of a plain or quoted scalar; nil without a fault for everything else.
    private var scalar: String? {
        guard case .scalar(let scalar) = node else { return nil }
        return scalar.string
    }

    var isNull: Bool {
        guard case .scalar(let scalar) = node, scalar.style == .plain else { return false }
        return ["", "~", "null", "Null", "NULL"].contains(scalar.string)
    }

    /// `off`, and what YAML 1.1 and 1.2 call false.
    var isOff: Bool { ["off", "false", "no"].contains(scalar?.lowercased()) }

    private var isOn: Bool { ["on", "true", "yes"].contains(scalar?.lowercased()) }

    /// True for a mapping, false for everything else; no fault.
    var isMapping: Bool {
        guard case .mapping = node else { return false }
        return true
    }

    func text(_ what: String = "a text") -> String? {
        guard !isNull else {
            fault("has no value: write \(what), or leave the key out")
            return nil
        }
        guard let scalar else {
            fault("must be \(what), not a \(isMapping ? "mapping" : "list")")
            return nil
        }
        guard !scalar.isEmpty, !scalar.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7F }) else {
            fault("must be \(what), without control characters")
            return nil
        }
        return scalar
    }

    func boolean() -> Bool? {
        if isOn { return true }
        if isOff { return false }
        fault("must be true or false")
        return nil
    }

    func integer(_ range: ClosedRange<Int>) -> Int? {
        guard let text = text("a whole number") else { return nil }
        guard let number = Int(text) else {
            fault("'\(text)' is no whole number")
            return nil
        }
        guard range.contains(number) else {
            fault("\(number) is not within \(range.lowerBound) to \(range.upperBound)")
            return nil
        }
        return number
    }

    func number() -> Double? {
        guard let text = text("a number") else { return nil }
        guard let number = Double(text), number.isFinite else {
            fault("'\(text)' is no number")
            return nil
        }
        return number
    }

    /// One of the words of an enumeration; YAML's `false` is its `off`.
    func choice<Choice: RawRepresentable & CaseIterable>(_ type: Choice.Type) -> Choice? where Choice.RawValue == String {
        choice(type.allCases.map { ($0.rawValue, $0) })
    }

    func choice<Choice>(_ choices: [(word: String, value: Choice)]) -> Choice? {
        let words = choices.map(\.word)
        guard let text = text("one of \(words.joined(separator: ", "))") else { return nil }
        let word = isOff && words.contains("off") ? "off" : text
        if let found = choices.first(where: { $0.word == word }) { return found.value }
        let near = NearestKey.find(word, among: words).map { "; did you mean '\($0)'?" } ?? ""
        fault("'\(text)' is none of: \(words.joined(separator: ", "))\(near)")
        return nil
    }

    /// A path, relative to the file.
    func path() -> String? {
        text("a path").map(reading.resolved)
    }

    // MARK: Collections

    /// The values of a list, each under its number. A single value stands for a list of one.
    func list() -> [FileValue]? {
        switch node {
        case .sequence(let sequence):
            return sequence.enumerated().map { FileValue(node: $1, key: "\(key)[\($0)]", reading: reading, line: nil) }
        case .scalar where !isNull:
            return [FileValue(node: node, key: "\(key)[0]", reading: reading, line: line)]
        case .scalar, .mapping, .alias:
            fault("must be a list")
            return nil
        }
    }

    func texts(_ what: String) -> [String] {
        (list() ?? []).compactMap { $0.text(what) }
    }

    /// Every key with its value, in the file's order. Keys that are there twice are noted and left out.
    func entries() -> [(name: String, value: FileValue)]? {
        guard case .mapping(let mapping) = node else {
            fault(isNull ? "has no value: write a mapping, or leave the key out" : "must be a mapping of keys to values")
            return nil
        }
        var entries: [(String, FileValue)] = []
        let lines = Dictionary(mapping.compactMap { pair in pair.key.scalar.map { ($0.string, pair.key.mark?.line ?? 0) } }) { $1 }
        for (keyNode, value) in mapping {
            guard case .scalar(let scalar) = keyNode else {
                reading.fault(key, line: keyNode.mark?.line, "a key must be a single word")
                continue
            }
            var name = scalar.string[...]
            while name.first == FileReading.doubleMark { name = name.dropFirst() }
            let path = key.isEmpty ? String(name) : "\(key).\(name)"
            guard name.count == scalar.string.count else {
                let other = lines[String(name)].map { ", again on line \($0)" } ?? ""
                reading.fault(path, line: keyNode.mark?.line, "is there twice\(other): remove one")
                continue
            }
            entries.append((String(name), FileValue(node: value, key: path, reading: reading, line: keyNode.mark?.line)))
        }
        return entries
    }

    /// A mapping of which all keys are known.
    func mapping(_ keys: [String]) -> FileMapping? {
        guard let entries = entries() else { return nil }
        for (name, value) in entries where !keys.contains(name) {
            let near = NearestKey.find(name, among: keys).map { "did you mean '\($0)'?" }
            value.fault("unknown key; \(near ?? "known here: \(keys.joined(separator: ", "))")")
        }
        return FileMapping(value: self, entries: Dictionary(entries) { first, _ in first })
    }
}
