// Keyvane
// SPDX-License-Identifier: Apache-2.0

import API
import Foundation
import Reactor
import TestSupport

/// Values that a format must bring back as they were, and programs that read a document for us.
enum FormatSamples {
    static let values: [String] = [
        "", " ", "plain", "two words", "  leading", "trailing  ", "\ttabs\t", "\n", "\n\n", "a\nb", "a\n", "\na", "a\r\nb", "\r", "a\rb\r",
        "'", "\"", "`", "it's", "say \"hi\"", "'\"`", "'quoted'", "\"quoted\"", "'''", "a'b\"c`d$e\\f", "it's\n\"two\" lines\r\n$X",
        "$", "$HOME", "${HOME}", "$(id)", "`id`", "\\$HOME", "it's ${X}", "\\", "\\\\", "a\\", "a\\'", "\\n", "\\\\n", "C:\\new\\table",
        "'\\n'",
        "#", "# no comment", "a # b", "a#b", "=", "a=b", "=a", "A: b", "- a", "[a, b]", "{a: b}", "&a", "*a", "!a", "? a", "%a", "@a", "|",
        ">",
        "yes", "no", "null", "~", "8080", "0o17", "1e3", "2026-01-01", "---", "...", "--- a", "<<", ": ", ":", "-", ",",
        "é", "😀", "👩‍👩‍👧‍👦 family", "日本語", "e\u{301}", "\u{FEFF}mark", "\u{85}next\u{85}", "\u{2028}line\u{2029}", "\u{A0}blank\u{A0}",
        "\u{1}\u{2}\u{1B}[0m\u{7F}\u{9F}", "\u{FFFE}\u{FFFF}\u{10FFFF}", "export A=1", "A=1\nB=2", "EOF\n", "\\u0041\\x41", "%s\\0",
        "\u{B}\u{C}",
        "-----BEGIN KEY-----\nMIIEvQIBADAN+/==\n-----END KEY-----\n", String(repeating: "x", count: 64 * 1024),
        String(repeating: "é'\"\\$\n", count: 64 * 1024 / 8), String(repeating: "'", count: 4096), String(repeating: "\n", count: 4096),
    ]

    /// `V0`, `V1` and so on.
    static let entries = entries(values)

    static func entries(_ values: [String]) -> [ExportedEntry] {
        values.enumerated().map { entry("V\($0.offset)", $0.element) }
    }

    static func entry(_ name: String, _ value: String) -> ExportedEntry {
        ExportedEntry(name: name, value: value, isSecret: false, version: 1, revision: 1)
    }

    static func export(_ entries: [ExportedEntry], _ format: ConfigurationFormat) -> [UInt8] {
        ConfigurationExport.render(entries, as: format, environment: "acme/shop/production", revision: 42)
    }

    /// Names and values, or the faults as lines "place: detail".
    static func read(_ text: String, _ format: ConfigurationFormat) -> Outcome {
        read(Array(text.utf8), format)
    }

    static func read(_ bytes: [UInt8], _ format: ConfigurationFormat) -> Outcome {
        do throws(FormatFault) {
            let entries = try ConfigurationImport.parse(bytes, as: format)
            return Outcome(pairs: entries.map { Pair(name: $0.name, value: $0.value) }, places: entries.map(\.place))
        } catch {
            return Outcome(faults: error.faults.map { "\($0.place): \($0.detail)" })
        }
    }

    struct Pair: Equatable {
        let name: String
        let value: String
    }

    struct Outcome {
        var pairs: [Pair] = []
        var places: [String] = []
        var faults: [String] = []

        var values: [String] { pairs.map(\.value) }
        /// The places of the faults alone.
        var faultPlaces: [String] { faults.map { String($0.prefix { $0 != ":" }) } }
    }

    /// Runs `script` with /bin/sh and `document` in a file named by `$DOCUMENT`; what it prints, or nil where it fails.
    static func run(_ script: String, on document: [UInt8]) async throws -> [UInt8]? {
        let folder = FileManager.default.temporaryDirectory.appending(path: "keyvane-formats-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try Data(document).write(to: folder.appending(path: "document"))
        try Data("{\n\(script)\n} >\"$OUTPUT\" 2>/dev/null".utf8).write(to: folder.appending(path: "script"))
        let environment = [
            "PATH": ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin",
            "DOCUMENT": folder.appending(path: "document").path(),
            "OUTPUT": folder.appending(path: "output").path(),
        ]
        let ended = Events<ChildExit>()
        try await LoopGroup.withLoops(count: 1) { group in
            let loop = group.loops[0]
            try await loop.run {
                _ = try ChildProcess.spawn(["/bin/sh", folder.appending(path: "script").path()], environment: environment, on: loop) {
                    ended.emit($0)
                }
            }
            _ = try await ended.first(within: .seconds(120), "the end of the script")
        }
        guard ended.all == [.code(0)] else { return nil }
        return Array(try Data(contentsOf: folder.appending(path: "output")))
    }

    /// The texts that a program printed with a NUL after each.
    static func texts(_ output: [UInt8]) -> [String] {
        output.split(separator: 0, omittingEmptySubsequences: false).dropLast().map { String(decoding: $0, as: UTF8.self) }
    }
}
