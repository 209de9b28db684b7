// Keyvane
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import KeyvaneClient

/// `keyvane render`: a file made of a template and the configuration.
struct RenderCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "render",
        abstract: "Make a file of a template and the configuration, once or at every change.",
        discussion: """
            In a template stand {{ NAME }}, {{ NAME|default:"x" }}, {{ NAME|required }}, {{ NAME|json }}, {{ NAME|base64 }}, conditions and loops:
            docs/commands.md. The file is replaced as a whole, with mode 0600, and only where it differs.

              keyvane render nginx.conf.template -o /etc/nginx/nginx.conf --watch --exec 'nginx -s reload' -e demo/shop/production
              keyvane render greeting.template -e demo/shop/production
            """
    )

    @Argument(help: "The template.") var template: String
    @OptionGroup var options: ClientOptions
    @Option(name: [.short, .long], help: "The file; default: standard output.") var output: String?
    @Flag(help: "Stay, and render again at every change.") var watch = false
    @Option(help: "A shell command to run after the file has changed.") var exec: String?

    func validate() throws {
        guard output != nil || !watch && exec == nil else { throw ValidationError("--watch and --exec need a file: add -o FILE") }
    }

    func run() async throws {
        let (client, environment) = try options.client()
        let file = RenderedFile(template: template, output: output)
        guard let output else { return Terminal.text(try file.render(try await client.configuration(environment))) }
        guard watch else {
            let configuration = try await client.configuration(environment)
            if try file.write(configuration) {
                Terminal.note("\(output): revision \(configuration.revision)")
                try execute()
            }
            return
        }
        let configurations = client.watch(environment, acknowledges: true)
        var isFirst = true
        for try await configuration in configurations {
            do {
                if try file.write(configuration) {
                    Terminal.note("\(output): revision \(configuration.revision)")
                    try execute()
                }
                configurations.acknowledge(configuration.revision, as: .applied)
            } catch let error as RunError {
                configurations.acknowledge(configuration.revision, as: .failed(error.description))
                // At the start it is the caller's mistake; later the file that works stays.
                if isFirst { throw error }
                Terminal.note("keyvane render: revision \(configuration.revision) is not used: \(error)")
            }
            isFirst = false
        }
    }

    private func execute() throws(RunError) {
        guard let exec else { return }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", exec]
        do {
            try process.run()
        } catch {
            throw RunError("'\(exec)' can't be started: \(error.localizedDescription)")
        }
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw RunError("'\(exec)' ended with \(process.terminationStatus)") }
    }
}
