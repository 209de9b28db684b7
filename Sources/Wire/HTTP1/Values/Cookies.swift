// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// One `Cookie` field's value: finding a cookie, and taking one out so that every other byte stays as the client sent it.
/// Works on one line at a time; a request may have several. Names are compared byte for byte, blanks around them ignored.
/// Nothing is unquoted or decoded: a cookie's value is opaque to us.
package enum Cookies {
    package enum Removal: Sendable, Equatable {
        case absent
        /// It was the only cookie: the whole header line goes.
        case wholeField
        /// Concatenated, these ranges are the value that remains.
        case keep([Range<Int>])
    }

    /// Where the first cookie of this name has its value, in the offsets of `bytes`.
    package static func first(_ name: String, in bytes: Span<UInt8>, _ value: Range<Int>) -> Range<Int>? {
        bytes.withUnsafeBufferPointer { bytes in
            var found: Range<Int>?
            forEachPart(bytes, value) { part in
                if found == nil, let equals = part.firstIndex(where: { bytes[$0] == ASCII.equals }),
                    matches(bytes, part.lowerBound..<equals, name)
                {
                    found = ASCII.trimmed(bytes, equals + 1..<part.upperBound)
                }
            }
            return found
        }
    }

    /// Over all `Cookie` lines of a head.
    package static func first(_ name: String, of fields: HTTPFields, in bytes: Span<UInt8>) -> Range<Int>? {
        guard fields.contains(.cookie) else { return nil }
        for field in fields where field.known == .cookie {
            if let found = first(name, in: bytes, field.value) { return found }
        }
        return nil
    }

    /// All cookies of this name go, each with the separator before it (the first one with the separator after it); with `isMeant` those
    /// whose value it says so of.
    package static func removing(
        _ name: String,
        in bytes: Span<UInt8>,
        _ value: Range<Int>,
        where isMeant: (Span<UInt8>) -> Bool = { _ in true }
    ) -> Removal {
        bytes.withUnsafeBufferPointer { bytes in
            var keep: [Range<Int>] = []
            var removed = false
            forEachPart(bytes, value) { part in
                let nameEnd = part.firstIndex { bytes[$0] == ASCII.equals } ?? part.upperBound
                if nameEnd < part.upperBound, matches(bytes, part.lowerBound..<nameEnd, name),
                    isMeant(bytes.extracting(ASCII.trimmed(bytes, nameEnd + 1..<part.upperBound)).span)
                {
                    removed = true
                    return
                }
                // From the separator on, unless nothing was kept so far: then the separator belonged to what went.
                let separated = part.lowerBound > value.lowerBound ? part.lowerBound - 1 : part.lowerBound
                if let last = keep.last, last.upperBound == separated {
                    keep[keep.count - 1] = last.lowerBound..<part.upperBound
                } else if keep.isEmpty {
                    let start = removed ? ASCII.trimmed(bytes, part).lowerBound : part.lowerBound
                    if start < part.upperBound || !removed { keep.append(start..<part.upperBound) }
                } else {
                    keep.append(separated..<part.upperBound)
                }
            }
            if !removed { return .absent }
            let isBlank = keep.allSatisfy { range in range.allSatisfy { ASCII.isBlank(bytes[$0]) || bytes[$0] == ASCII.semicolon } }
            return isBlank ? .wholeField : .keep(keep)
        }
    }

    /// The pieces between semicolons, blanks included.
    private static func forEachPart(_ bytes: UnsafeBufferPointer<UInt8>, _ value: Range<Int>, _ body: (Range<Int>) -> Void) {
        var start = value.lowerBound
        while start <= value.upperBound {
            var end = start
            while end < value.upperBound, bytes[end] != ASCII.semicolon { end += 1 }
            body(start..<end)
            start = end + 1
        }
    }

    private static func matches(_ bytes: UnsafeBufferPointer<UInt8>, _ range: Range<Int>, _ name: String) -> Bool {
        let trimmed = ASCII.trimmed(bytes, range)
        guard trimmed.count == name.utf8.count else { return false }
        var index = trimmed.lowerBound
        for byte in name.utf8 {
            if bytes[index] != byte { return false }
            index += 1
        }
        return true
    }
}
