// Keyvane
// SPDX-License-Identifier: Apache-2.0

// A document's way in: its bytes, checked as text (TextDocument), are read by the format's own reader (DotenvParser, YAMLDocument,
// JSONDocument), every name and value goes through one `ImportCollector`, and what comes out are entries that keep the limits.
// Owner: the caller, for one document. A reader never stops at its first fault, unless what follows can't be understood.
// Must hold: no detail of a fault has a value in it; hostile documents cost what honest ones of their length cost.
// TextDocument and the dotenv parser import nothing, so that they are fuzzed by themselves (Fuzz/DotenvFuzz.swift).

package enum ConfigurationImport {
    /// - Throws: all faults of the document, up to a hundred; then nothing of it is to be used.
    package static func parse(_ bytes: [UInt8], as format: ConfigurationFormat) throws(FormatFault) -> [ImportedEntry] {
        var collector = ImportCollector()
        switch format {
        case .json: try JSONDocument.read(bytes, into: &collector)
        case .dotenv: try readDotenv(bytes, into: &collector)
        case .yaml: try YAMLDocument.read(bytes, into: &collector)
        case .shell, .kubernetes:
            let formats = ConfigurationFormat.importable.map(\.rawValue).joined(separator: ", ")
            collector.refuse("is in the format \(format.rawValue), which can't be imported; import one of \(formats)", at: "the document")
        }
        return try collector.finished()
    }

    private static func readDotenv(_ bytes: [UInt8], into collector: inout ImportCollector) throws(FormatFault) {
        var parser = DotenvParser(try TextDocument.checked(bytes), isName: ImportCollector.isName)
        while !collector.isFull, let assignment = parser.next() {
            collector.add(assignment.name, assignment.value, line: assignment.line)
        }
        collector.faults.absorb(parser.faults)
    }
}
