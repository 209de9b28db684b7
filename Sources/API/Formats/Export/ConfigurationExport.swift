// Keyvane
// SPDX-License-Identifier: Apache-2.0

// A configuration's way out: entries in the caller's order, appended one after another to one buffer of bytes, each value in the
// format's own quotes (QuotedText). The first line is a comment with the environment and its revision.
// Owner: the caller, for one document. The entries are what the caller may see; nothing is filtered here but names.
// Must hold: whatever a value contains, it can't end its quotes; a name that a format can't hold is left out and said so in a comment.

package enum ConfigurationExport {
    /// - Parameter environment: `workspace/project/environment`.
    /// - Parameter withheld: how many secrets are not among the entries; a comment says so, for who replaces by the document deletes them.
    /// - Parameter format: any but JSON, whose answer is the configuration object and is written by its route.
    package static func render(
        _ entries: [ExportedEntry],
        as format: ConfigurationFormat,
        environment: String,
        revision: Int64,
        withheld: Int = 0
    ) -> [UInt8] {
        var document = Array("# Keyvane: \(environment) at revision \(revision)\n".utf8)
        if withheld > 0 { document += "# Missing: \(withheld) secrets that this token may not read\n".utf8 }
        document.reserveCapacity(entries.reduce(document.count + 512) { $0 + $1.name.utf8.count + $1.value.utf8.count * 5 / 4 + 16 })
        switch format {
        case .json: preconditionFailure("the configuration object is written by its route")
        case .dotenv: writeDotenv(entries, into: &document)
        case .shell: writeShell(entries, into: &document)
        case .yaml: writeYAML(entries, into: &document)
        case .kubernetes: writeSecret(entries, environment, revision, into: &document)
        }
        return document
    }

    private static func writeDotenv(_ entries: [ExportedEntry], into document: inout [UInt8]) {
        for entry in entries where isHeld(entry.name, by: "a shell", isShellName(entry.name), &document) {
            document += entry.name.utf8
            document.append(UInt8(ascii: "="))
            QuotedText.dotenv(entry.value, into: &document)
            document.append(UInt8(ascii: "\n"))
        }
    }

    private static func writeShell(_ entries: [ExportedEntry], into document: inout [UInt8]) {
        for entry in entries where isHeld(entry.name, by: "a shell", isShellName(entry.name), &document) {
            document += "export ".utf8
            document += entry.name.utf8
            document.append(UInt8(ascii: "="))
            QuotedText.shell(entry.value, into: &document)
            document.append(UInt8(ascii: "\n"))
        }
    }

    private static func writeYAML(_ entries: [ExportedEntry], into document: inout [UInt8]) {
        for entry in entries {
            appendKey(entry.name, into: &document)
            QuotedText.yaml(entry.value, into: &document)
            document.append(UInt8(ascii: "\n"))
        }
    }

    // MARK: Names

    /// Says in a comment what is left out. A name is never more than letters, digits, dots, hyphens and underscores.
    static func isHeld(_ name: String, by holder: StaticString, _ isHeld: Bool, _ document: inout [UInt8]) -> Bool {
        if !isHeld { document += "# left out, because \(holder) can't hold such a name: \(name)\n".utf8 }
        return isHeld
    }

    /// POSIX, section 3.216: every entry name but those with dots and hyphens.
    private static func isShellName(_ name: String) -> Bool {
        !name.utf8.contains { $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-") }
    }

    /// Plain, except where YAML 1.1 would take the name for a truth value or for null.
    static func appendKey(_ name: String, into document: inout [UInt8]) {
        let isWord = name.utf8.count <= 5 && ["y", "n", "yes", "no", "on", "off", "true", "false", "null"].contains(name.lowercased())
        document += (isWord ? "\"\(name)\": " : "\(name): ").utf8
    }
}
