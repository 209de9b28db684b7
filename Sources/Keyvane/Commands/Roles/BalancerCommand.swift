// Keyvane
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Balancer

/// `keyvane balancer`: one balancer process.
struct BalancerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "balancer",
        abstract: "Run the sticky load balancer in front of APIs and gateways, or of anything.",
        discussion: """
            Pools named api and gateway get the routes of a cluster; a single pool takes everything. With --discover, APIs and gateways are
            found in the cluster's Redis as they come and go. Everything else is in a file (docs/balancer.md), which is read again on SIGHUP
            and when it changes.

              keyvane balancer --listen :8080 --pool api=127.0.0.1:8081,127.0.0.1:8082 --pool gateway=127.0.0.1:8091
              keyvane balancer --listen :8080 --discover redis://127.0.0.1:6379
              keyvane balancer --config /etc/keyvane/balancer.yaml
            """
    )

    @Option(help: "Address to listen on: HOST:PORT, :PORT or unix:/PATH.") var listen: String?
    @Option(help: "NAME=SERVER,SERVER…; a server is HOST:PORT, or NAME@HOST:PORT. Repeatable.") var pool: [String] = []
    @Option(help: "Redis URL of the cluster's registry: its APIs and gateways are found there.") var discover: String?
    @Option(help: "Prefix of the registry's keys.") var cluster: String?
    @Option(help: "Address of the admin listener, with metrics and servers.") var admin: String?
    @Option(help: "The instance's name in logs.") var name: String?
    @Option(help: "Access log: json, httplog or off.") var accessLog: String?
    @Option(help: "Event loops.") var loops: String?
    @Option(help: "The balancer's YAML file, instead of --listen, --pool, --admin and --access-log.") var config: String?
    @OptionGroup var process: ProcessFlags

    func validate() throws {
        guard config != nil else { return }
        let doubled = [
            ("--listen", listen != nil), ("--pool", !pool.isEmpty), ("--admin", admin != nil), ("--access-log", accessLog != nil),
        ].filter(\.1).map(\.0)
        guard doubled.isEmpty else {
            throw ValidationError("--config FILE says what \(doubled.joined(separator: ", ")) would say: give one or the other")
        }
    }

    func run() async throws {
        let flags = [
            Setting.listen: listen, .discover: discover, .cluster: cluster, .admin: admin, .name: name, .accessLog: accessLog,
            .loops: loops,
        ].compactMapValues { $0 }
        let settingsSource = process.source(.balancer, flags, file: nil)
        let checked = try process.settings(of: settingsSource)
        let settings = try checked ?? settingsSource.read()
        let origin = try config.map { .file($0) } ?? BalancerSource.Origin.flags(BalancerSource.flags(settings, pools: pool))
        let source = try BalancerSource(origin, settings: settings)
        let configuration = try configuration(source)
        guard checked != nil else { return Terminal.line(config.map { "\($0) is good." } ?? "The settings are valid.") }
        try await Role.run(settingsSource, settings) { try await Composition.balancer($0, configuration, from: source) }
    }

    private func configuration(_ source: BalancerSource) throws -> BalancerConfiguration {
        do throws(BalancerError) {
            let configuration = try source.read()
            try configuration.validate()
            return configuration
        } catch {
            for fault in error.faults { Terminal.note("\(fault)") }
            guard let config else { throw SettingsError(error.message) }
            throw RunError("\(config) can't be used: \(error.faults.count) \(error.faults.count == 1 ? "fault" : "faults")")
        }
    }
}
