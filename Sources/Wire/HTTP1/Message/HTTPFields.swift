// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// The header lines of one head in their order, as ranges into the bytes that were parsed; every lookup that reads bytes
/// must be given the same bytes. Owned by the parser; a copy taken from it shares storage until the parser goes on.
package struct HTTPFields: Sendable, Equatable, RandomAccessCollection {
    private var lines: [HTTPField] = []
    private var present: UInt64 = 0

    package init() {}

    package var startIndex: Int { 0 }
    package var endIndex: Int { lines.count }
    package subscript(position: Int) -> HTTPField { lines[position] }

    mutating func append(_ field: HTTPField) {
        lines.append(field)
        if let known = field.known { present |= 1 << UInt64(known.rawValue) }
    }

    /// Keeps the capacity: the next message on this parser does not allocate.
    mutating func removeAll() {
        lines.removeAll(keepingCapacity: true)
        present = 0
    }

    package func contains(_ name: HTTPFieldName) -> Bool {
        present & (1 << UInt64(name.rawValue)) != 0
    }

    /// The first value of a known field.
    package func first(_ name: HTTPFieldName) -> Range<Int>? {
        guard contains(name) else { return nil }
        return lines.first { $0.known == name }?.value
    }

    package func all(_ name: HTTPFieldName) -> [Range<Int>] {
        guard contains(name) else { return [] }
        return lines.compactMap { $0.known == name ? $0.value : nil }
    }

    package func count(of name: HTTPFieldName) -> Int {
        contains(name) ? lines.count { $0.known == name } : 0
    }

    /// The first value of any field, by a name without case.
    package func first(_ name: some StringProtocol, in bytes: Span<UInt8>) -> Range<Int>? {
        lines.first { bytes.equalsIgnoringCase($0.name, name) }?.value
    }

    package func all(_ name: some StringProtocol, in bytes: Span<UInt8>) -> [Range<Int>] {
        lines.compactMap { bytes.equalsIgnoringCase($0.name, name) ? $0.value : nil }
    }

    package func string(_ name: HTTPFieldName, in bytes: Span<UInt8>) -> String? {
        first(name).map { bytes.string($0) }
    }

    package func string(_ name: some StringProtocol, in bytes: Span<UInt8>) -> String? {
        first(name, in: bytes).map { bytes.string($0) }
    }

    /// The elements of a comma-separated field, over all of its lines.
    package func forEachElement(of name: HTTPFieldName, in bytes: Span<UInt8>, _ body: (Range<Int>) -> Void) {
        guard contains(name) else { return }
        bytes.withUnsafeBufferPointer { buffer in
            for line in lines where line.known == name {
                ASCII.forEachElement(buffer, line.value) {
                    body($0)
                    return true
                }
            }
        }
    }

    /// Is this token, whatever its case, an element of the field? For `Connection`, `Upgrade`, `TE` and the like.
    package func hasToken(_ token: StaticString, in name: HTTPFieldName, of bytes: Span<UInt8>) -> Bool {
        var found = false
        forEachElement(of: name, in: bytes) { element in
            if !found { found = bytes.equalsIgnoringCase(element, token) }
        }
        return found
    }

    /// Is this field named in `Connection`, so that it belongs to this hop and a proxy drops it?
    package func isNominatedByConnection(_ field: HTTPField, in bytes: Span<UInt8>) -> Bool {
        guard contains(.connection) else { return false }
        return bytes.withUnsafeBufferPointer { buffer in
            var found = false
            for line in lines where line.known == .connection {
                ASCII.forEachElement(buffer, line.value) { element in
                    found = found || Self.sameName(buffer, element, field.name)
                    return !found
                }
            }
            return found
        }
    }

    private static func sameName(_ bytes: UnsafeBufferPointer<UInt8>, _ left: Range<Int>, _ right: Range<Int>) -> Bool {
        guard left.count == right.count else { return false }
        for offset in 0..<left.count
        where ASCII.lowercased(bytes[left.lowerBound + offset]) != ASCII.lowercased(bytes[right.lowerBound + offset]) {
            return false
        }
        return true
    }
}
