// Keyvane
// SPDX-License-Identifier: Apache-2.0

// The balancer's YAML file.
// Flows through: text -> Yams' nodes, each with its line -> `FileValue` and `FileMapping` (types, units, unknown keys) ->
//   `BalancerConfiguration` -> its own validation, whose faults get the lines of their keys -> the files it refers to.
// Owner: the call; a reading keeps nothing.
// Must hold: every fault of the file is found in one reading, each with line, key and remedy; what is faulty is never used; no
//   content of another file, and no path that could be a password put in the wrong place, is in a fault.

import Foundation
import Yams

package enum ConfigurationFile {
    /// Longer than any honest one.
    static let maximumBytes = 1 << 20

    /// Reads the file, and checks it and every file it refers to.
    ///
    /// - Throws: `configuration_invalid` with all its faults.
    package static func read(_ path: String) throws(BalancerError) -> BalancerConfiguration {
        let text: String
        do {
            text = try FileContent.text(path, atMost: maximumBytes)
        } catch {
            throw BalancerError([ConfigurationFault("", "the file can't be read: \(error.problem)", file: path)])
        }
        return try parse(text, path: path)
    }

    /// The files that the file names, also where it can't be used as it is.
    package static func references(of path: String, withCertificates: Bool) -> [String] {
        guard let text = try? FileContent.text(path, atMost: maximumBytes), let root = FileReading(path: path).compose(text),
            let configuration = balancer(root)
        else { return [] }
        return withCertificates ? configuration.referencedFiles.map(\.path) : configuration.watchedFiles
    }

    /// - Parameter path: where the text comes from; what it refers to lies relative to it.
    package static func parse(_ text: String, path: String) throws(BalancerError) -> BalancerConfiguration {
        let reading = FileReading(path: path)
        guard let root = reading.compose(text) else { throw BalancerError(reading.faults) }
        let configuration = balancer(root)
        reading.add((configuration ?? BalancerConfiguration(listeners: [ListenerConfiguration](), pools: [])).faults)
        if let configuration { reading.add(configuration.fileFaults) }
        guard let configuration, reading.faults.isEmpty else { throw BalancerError(reading.sortedFaults) }
        return configuration
    }
}

/// One reading of one file. Confined to the call.
final class FileReading {
    private let path: String
    private let folder: String
    private(set) var faults: [ConfigurationFault] = []
    /// Where each key was found.
    private var lines: [String: Int] = [:]
    /// Members of lists of which nothing is known, but that they are there.
    private var unreadable: [String] = []

    init(path: String) {
        self.path = path
        folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
    }

    var sortedFaults: [ConfigurationFault] {
        faults.sorted { ($0.line ?? 0, $0.key) < ($1.line ?? 0, $1.key) }
    }

    /// A path as the file means it: relative to the file.
    func resolved(_ name: String) -> String {
        name.hasPrefix("/") ? name : folder + name
    }

    func found(_ key: String, line: Int?) {
        if let line { lines[key] = line }
    }

    func unreadable(_ key: String) {
        unreadable.append(key)
    }

    func fault(_ key: String, line: Int?, _ problem: String) {
        faults.append(ConfigurationFault(key, problem, file: path, line: line))
    }

    /// What the configuration finds wrong with itself, at the line of its key or of what the key is in. Where a value could not be read
    /// there is a fault already, and what follows from it is no news.
    func add(_ others: [ConfigurationFault]) {
        for fault in others where !unreadable.contains(where: { Self.isWithin(fault.key, $0) }) {
            guard !faults.contains(where: { Self.isWithin(fault.key, $0.key) || Self.isWithin($0.key, fault.key) }) else { continue }
            var key = fault.key[...]
            while lines[String(key)] == nil, let end = key.lastIndex(where: { $0 == "." || $0 == "[" }) { key = key[..<end] }
            self.fault(fault.key, line: lines[String(key)], fault.problem)
        }
    }

    private static func isWithin(_ key: String, _ outer: String) -> Bool {
        key == outer || !outer.isEmpty && key.hasPrefix(outer) && (key.dropFirst(outer.count).first.map { ".[".contains($0) } ?? false)
    }

    // MARK: YAML

    /// Put before a key that is there twice, so that the parser, which refuses such a mapping, goes on to what else is wrong.
    static let doubleMark: Character = "\u{E000}"

    func compose(_ text: String) -> FileValue? {
        // A chain of anchors could nest deeper than a stack is.
        guard text.utf8.count(where: { $0 == UInt8(ascii: "&") }) <= 1000 else {
            fault("", line: nil, "has more than 1000 anchors")
            return nil
        }
        var text = text
        for _ in 0..<100 {
            do {
                let parser = try Yams.Parser(yaml: text, resolver: .basic, encoding: .utf8)
                guard let root = try parser.nextRoot() else {
                    fault("", line: nil, "is empty: at least `listeners` and `pools` are needed")
                    return nil
                }
                if let second = try parser.nextRoot() {
                    fault("", line: second.mark?.line, "holds a second document: put all into one")
                    return nil
                }
                return FileValue(node: root, key: "", reading: self, line: root.mark?.line)
            } catch YamlError.duplicatedKeysInMapping(let keys, let context) {
                guard let marked = Self.marking(context.mark, in: text) else {
                    fault("", line: context.mark.line, "the key '\(keys.first ?? "")' is there twice: remove one")
                    return nil
                }
                text = marked
            } catch {
                let (problem, line) = Self.reason(error)
                fault("", line: line, "is not YAML: \(problem)")
                return nil
            }
        }
        fault("", line: nil, "has more than 100 keys that are there twice")
        return nil
    }

    private static func marking(_ mark: Mark, in text: String) -> String? {
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.indices.contains(mark.line - 1) else { return nil }
        var scalars = lines[mark.line - 1].unicodeScalars
        guard var place = scalars.index(scalars.startIndex, offsetBy: mark.column - 1, limitedBy: scalars.endIndex),
            place < scalars.endIndex
        else { return nil }
        // Within the quotes where the key has some.
        if scalars[place] == "\"" || scalars[place] == "'" { scalars.formIndex(after: &place) }
        scalars.insert(contentsOf: doubleMark.unicodeScalars, at: place)
        lines[mark.line - 1] = Substring(scalars)
        return lines.joined(separator: "\n")
    }

    /// The library's own words, without what it would add of the document.
    private static func reason(_ error: any Error) -> (problem: String, line: Int?) {
        switch error as? YamlError {
        case .scanner(_, let problem, let mark, _)?, .parser(_, let problem, let mark, _)?, .composer(_, let problem, let mark, _)?:
            (problem, mark.line)
        case .reader?: ("it has bytes that are not text in UTF-8", nil)
        case _: ("it can't be read", nil)
        }
    }
}
