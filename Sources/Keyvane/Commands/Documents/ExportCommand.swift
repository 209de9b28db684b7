// Keyvane
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import KeyvaneClient
import NIOCore

/// `keyvane export`: the configuration as a document.
struct ExportCommand: AsyncParsableCommand {
    enum Format: String, ExpressibleByArgument, CaseIterable {
        case dotenv, json, yaml, shell, kubernetes
    }

    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Print the configuration as dotenv, JSON, YAML, shell or a Kubernetes Secret.",
        discussion: """
            Secrets are in it where the token may read them. A file gets mode 0600.

              keyvane export -e demo/shop/production > .env
              eval "$(keyvane export --format shell -e demo/shop/production)"
              keyvane export --format kubernetes -e demo/shop/production | kubectl apply -f -
            """
    )

    @OptionGroup var options: ClientOptions
    @Option(help: "dotenv, json, yaml, shell or kubernetes.") var format: Format = .dotenv
    @Option(help: "A revision instead of now.") var at: Int?
    @Option(help: "Only names that match: globs separated by commas.") var names: String?
    @Option(name: [.short, .long], help: "A file instead of standard output.") var output: String?

    func run() async throws {
        var query = ["format=\(format.rawValue)"]
        if let at { query.append("at=\(at)") }
        if let names { query.append("names=" + ConfigurationClient.globs(names)) }
        let document = Data((try await options.calls().export(query)).readableBytesView)
        guard let output else {
            Terminal.text(String(decoding: document, as: UTF8.self))
            return
        }
        try PrivateFile.write(document, to: output)
        Terminal.note("\(output): \(document.count) bytes")
    }
}
