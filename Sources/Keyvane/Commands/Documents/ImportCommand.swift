// Keyvane
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import KeyvaneClient
import NIOCore

/// `keyvane import`: a document as one transaction.
struct ImportCommand: AsyncParsableCommand {
    enum Format: String, ExpressibleByArgument, CaseIterable {
        case dotenv, json, yaml

        var contentType: String {
            switch self {
            case .dotenv: "text/plain"
            case .json: "application/json"
            case .yaml: "application/yaml"
            }
        }

        /// By the file's name; `.env.production` is a dotenv file as well.
        init?(fileName: String) {
            switch URL(fileURLWithPath: fileName).pathExtension.lowercased() {
            case "json": self = .json
            case "yaml", "yml": self = .yaml
            case "env": self = .dotenv
            default:
                guard URL(fileURLWithPath: fileName).lastPathComponent.hasPrefix(".env") else { return nil }
                self = .dotenv
            }
        }
    }

    enum Mode: String, ExpressibleByArgument, CaseIterable {
        case merge, replace
    }

    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Import a dotenv, JSON or YAML file as one transaction.",
        discussion: """
            A fault anywhere changes nothing and is named by its line. --mode replace also deletes what the file lacks; on a terminal it asks
            first. Known names keep their kind, new ones that match --secrets become secrets.

              keyvane import .env -e demo/shop/production --secrets '*_KEY,*_TOKEN' --dry-run
              keyvane import .env -e demo/shop/production --secrets '*_KEY,*_TOKEN'
              keyvane export -e demo/shop/staging --format json | keyvane import - --format json -e demo/shop/production
            """
    )

    @Argument(help: "The file; - is standard input.") var file: String
    @OptionGroup var options: ClientOptions
    @Option(help: "dotenv, json or yaml; default: by the file's name.") var format: Format?
    @Option(help: "merge, or replace what is there.") var mode: Mode = .merge
    @Option(help: "Globs of the new names that become secrets, separated by commas.") var secrets: String?
    @Flag(name: .customLong("dry-run"), help: "Print what would change, and change nothing.") var dryRun = false
    @Flag(help: "Don't ask before a replace deletes.") var yes = false
    @Flag(help: "The answer as JSON.") var json = false

    func validate() throws {
        guard format != nil || Format(fileName: file) != nil else {
            throw ValidationError("'\(file)' doesn't tell its format: add --format dotenv, json or yaml")
        }
    }

    func run() async throws {
        guard let format = format ?? Format(fileName: file) else { return }
        let calls = try options.calls()
        let document = ByteBuffer(bytes: try contents())
        var query = ["format=\(format.rawValue)", "mode=\(mode.rawValue)"]
        if let secrets { query.append("secrets=" + ConfigurationClient.globs(secrets)) }
        if dryRun || mode == .replace && !yes {
            let preview = try await calls.upload(document, query + ["dryRun=true"], contentType: format.contentType, as: DryRun.self)
            guard !dryRun else { return try show(preview) }
            if !preview.removed.isEmpty {
                Terminal.note(Self.lines(preview).joined(separator: "\n"))
                guard Terminal.confirm("Delete \(preview.removed.count) entries of \(calls.environment)?") else {
                    throw RunError("nothing was changed: add --yes where nobody can be asked")
                }
            }
        }
        try Terminal.changes(
            try await calls.upload(document, query, contentType: format.contentType, as: MutationResult.self),
            asJSON: json
        )
    }

    private func contents() throws -> Data {
        do {
            return file == "-" ? try FileHandle.standardInput.readToEnd() ?? Data() : try Data(contentsOf: URL(fileURLWithPath: file))
        } catch {
            throw SettingsError("\(file) can't be read: \(error.localizedDescription)")
        }
    }

    private func show(_ preview: DryRun) throws {
        guard !json else { return try Terminal.json(preview) }
        Self.lines(preview).forEach(Terminal.line)
    }

    private static func lines(_ preview: DryRun) -> [String] {
        let names = preview.added.map { "+ \($0)" } + preview.changed.map { "~ \($0)" } + preview.removed.map { "- \($0)" }
        let reach = preview.watchers.map { ", it would reach \($0) watchers" } ?? ""
        return names + ["\(preview.added.count) added, \(preview.changed.count) changed, \(preview.removed.count) removed\(reach)"]
    }
}
