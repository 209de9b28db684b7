// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// The faults found so far. Owned by one reader.
struct FaultList {
    private var items: [(order: Int, item: FormatFault.Item)] = []

    /// A reader stops here: what follows would not be told.
    var isFull: Bool { items.count >= FormatFault.maximumItems }

    /// - Parameter order: where the place stands among the document's places.
    mutating func add(_ detail: String, at place: String, order: Int) {
        if isFull { return }
        items.append((order, FormatFault.Item(place: place, detail: detail)))
    }

    mutating func add(_ detail: String, line: Int) {
        add(detail, at: Self.place(line: line), order: line)
    }

    /// Each of two readers of one document keeps its own first hundred, so the first hundred of both are among these.
    mutating func absorb(_ other: FaultList) {
        items += other.items
    }

    func check() throws(FormatFault) {
        if items.isEmpty { return }
        let sorted = items.sorted { $0.order < $1.order }
        throw FormatFault(faults: sorted.prefix(FormatFault.maximumItems).map(\.item))
    }

    static func place(line: Int) -> String { "line \(line)" }

    /// A name in a fault. Only for what is known to be a name: a stray line may be a part of a secret.
    static func shown(_ name: String) -> String {
        name.unicodeScalars.count <= 64 ? name : String(String.UnicodeScalarView(name.unicodeScalars.prefix(64))) + "…"
    }
}
