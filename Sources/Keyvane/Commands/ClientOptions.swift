// Keyvane
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import KeyvaneClient

/// Which service, which environment, and who asks: for every command that talks to a running cluster.
///
/// Flags over `KEYVANE_URL`, `KEYVANE_TOKEN`, `KEYVANE_ENVIRONMENT` over `.keyvane.yaml` in this folder or the nearest one above.
struct ClientOptions: ParsableArguments {
    @Option(name: [.short, .long], help: "The environment, as workspace/project/environment.") var environment: String?
    @Option(help: "The service's URL.") var url: String?

    private static let url = Setting(key: "url", fallback: "http://127.0.0.1:8080", summary: "the service's URL")
    private static let token = Setting(key: "token", fallback: nil, summary: "the token that every call carries", isSecret: true)
    private static let environment = Setting(
        key: "environment",
        fallback: nil,
        summary: "the environment, as workspace/project/environment"
    )

    /// A client, and the environment it is about.
    func client() async throws -> (client: ConfigurationClient, environment: String) {
        let settings = try await Settings(
            flags: [Self.url: url, Self.environment: environment].compactMapValues { $0 },
            environment: ProcessInfo.processInfo.environment,
            file: Self.nearestFile()
        )
        let client = try ConfigurationClient(
            ClientSettings(url: settings.required(Self.url), token: settings.required(Self.token))
        )
        return (client, try settings.required(Self.environment))
    }

    private static func nearestFile() -> String? {
        var folder = URL(fileURLWithPath: FileManager.default.currentDirectoryPath)
        while true {
            let file = folder.appendingPathComponent(".keyvane.yaml").path
            if FileManager.default.fileExists(atPath: file) { return file }
            guard folder.path != "/" else { return nil }
            folder.deleteLastPathComponent()
        }
    }
}
