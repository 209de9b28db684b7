// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Store

/// Takes what a reader found, name by name, and holds it to what every format has in common: valid names, each once, and values within
/// the limits. Owned by `ConfigurationImport` for one document.
struct ImportCollector {
    /// An environment takes far fewer, and its store says so. This only bounds the memory of a document full of tiny entries.
    private static let maximumEntries = 10 * InputRules.maximumEntries

    private var entries: [ImportedEntry] = []
    private var places: [String: String] = [:]
    var faults = FaultList()

    /// Nothing more is of use.
    var isFull: Bool { faults.isFull || entries.count > Self.maximumEntries }

    static func isName(_ text: String) -> Bool { InputRules.isEntryName(text) }

    mutating func add(_ name: String, _ value: String, line: Int) {
        add(name, value, isSecret: nil, place: FaultList.place(line: line), order: line)
    }

    /// - Parameter order: where the place stands among the document's places.
    mutating func add(_ name: String, _ value: String, isSecret: Bool?, place: String, order: Int) {
        guard Self.isName(name) else {
            faults.add("has no valid name; \(FormatFault.nameRule)", at: place, order: order)
            return
        }
        let shown = FaultList.shown(name)
        if let first = places.updateValue(place, forKey: name) {
            // The first place stays the one that later repeats are compared with.
            places[name] = first
            faults.add("sets \(shown), which \(first) sets already; keep one of the two", at: place, order: order)
        }
        let count = value.utf8.count
        if count > InputRules.maximumValueBytes {
            faults.add("sets \(shown) to \(count) bytes; \(InputRules.maximumValueBytes) are allowed", at: place, order: order)
        } else if value.utf8.contains(0) {
            faults.add("sets \(shown) to text with a NUL character; remove it", at: place, order: order)
        }
        entries.append(ImportedEntry(name: name, value: value, isSecret: isSecret, place: place))
    }

    /// For what is wrong with the document as a whole.
    mutating func refuse(_ detail: String, at place: String) {
        faults.add(detail, at: place, order: 0)
    }

    func finished() throws(FormatFault) -> [ImportedEntry] {
        try faults.check()
        if entries.count > Self.maximumEntries {
            let detail = "has more than \(Self.maximumEntries) entries; an environment holds \(InputRules.maximumEntries)"
            throw FormatFault(faults: [FormatFault.Item(place: "the document", detail: detail)])
        }
        return entries
    }
}
