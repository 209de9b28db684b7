// Keyvane
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import KeyvaneClient

/// Which service, for commands that talk to a running cluster.
struct ServiceOptions: ParsableArguments {
    @Option(help: "The service's URL.") var url: String?

    func client() throws -> ConfigurationClient {
        try context().client()
    }

    func context(environment: String? = nil) throws -> CommandContext {
        let variables = ProcessInfo.processInfo.environment
        return CommandContext(
            url: url,
            environment: environment,
            variables: variables,
            folder: try FolderContext.nearest(to: FileManager.default.currentDirectoryPath),
            login: try SavedLogin.load(SavedLogin.path(variables))
        )
    }
}

/// Which service and which environment, for commands about entries.
struct ClientOptions: ParsableArguments {
    @Option(name: [.short, .long], help: "The environment, as workspace/project/environment.") var environment: String?
    @OptionGroup var service: ServiceOptions

    /// A client, and the environment it is about.
    func client() throws -> (client: ConfigurationClient, environment: String) {
        let context = try service.context(environment: environment)
        return (try context.client(), try context.requiredEnvironment())
    }

    /// Calls about one environment.
    func calls() throws -> EnvironmentCalls {
        let (client, environment) = try client()
        return try EnvironmentCalls(client, environment)
    }
}
