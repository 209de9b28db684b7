// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Documents of a careless or hostile user. Holds: nothing crashes; places are lines of the document, in their order; what was read is read
/// again when it is written as we export it, in either kind of line ends; a line of its own before the document changes nothing but places.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzDotenv(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let outcome = readDotenv(Array(UnsafeBufferPointer(start: start, count: count)))
    check(outcome.lines == outcome.lines.sorted(), "lines out of order: \(outcome.lines)")
    check(outcome.lines.allSatisfy { (1...count + 1).contains($0) }, "lines outside of the document: \(outcome.lines)")
    check(outcome.faults.count <= FormatFault.maximumItems, "\(outcome.faults.count) faults")

    for lineEnd in ["\n", "\r\n", "\r"] {
        var written: [UInt8] = []
        for assignment in outcome.assignments {
            written += "\(assignment.name)=".utf8
            QuotedText.dotenv(assignment.value, into: &written)
            written += lineEnd.utf8
        }
        let again = readDotenv(written)
        check(again.pairs == outcome.pairs && again.faults.isEmpty, "written anew, \(outcome.assignments) is \(again)")
    }

    // A byte order mark counts only where the document begins, and a NUL is found before anything is read.
    guard let bytes = outcome.text else { return 0 }
    let later = readDotenv(Array("# comment\r\n".utf8) + bytes)
    check(later.pairs == outcome.pairs && later.faults.count == outcome.faults.count, "after a comment, \(outcome) is \(later)")
    check(later.lines == outcome.lines.map { $0 + 1 }, "after a comment, the lines \(outcome.lines) are \(later.lines)")
    return 0
}

private struct Outcome {
    /// Nil where it is no text.
    var text: [UInt8]?
    var assignments: [DotenvParser.Assignment] = []
    var faults: [FormatFault.Item] = []

    /// Compared as bytes: texts are equal in Swift where their characters are.
    var pairs: [[[UInt8]]] { assignments.map { [Array($0.name.utf8), Array($0.value.utf8)] } }
    var lines: [Int] { assignments.map(\.line) }
}

private func readDotenv(_ bytes: [UInt8]) -> Outcome {
    var outcome = Outcome()
    do throws(FormatFault) {
        let text = try TextDocument.checked(bytes)
        outcome.text = text
        var parser = DotenvParser(text, isName: isName)
        while let assignment = parser.next() { outcome.assignments.append(assignment) }
        try parser.faults.check()
    } catch {
        outcome.faults = error.faults
    }
    return outcome
}

/// As the store allows it.
private func isName(_ text: String) -> Bool {
    guard let first = text.utf8.first, text.utf8.count <= 255, text.utf8.allSatisfy({ $0 < 0x80 }) else { return false }
    let others = text.unicodeScalars.allSatisfy {
        $0.properties.isAlphabetic || ("0"..."9").contains($0) || "_.-".unicodeScalars.contains($0)
    }
    return others && !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) && first != UInt8(ascii: ".") && first != UInt8(ascii: "-")
}
