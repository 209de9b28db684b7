// Keyvane
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation

/// The flags that API and gateway share.
struct InstanceOptions: ParsableArguments {
    @Option(help: "Address to listen on: HOST:PORT, :PORT or unix:/PATH.") var listen: String?
    @Option(help: "PEM file with the certificate and its chain; with it only TLS is spoken.") var tlsCertificate: String?
    @Option(help: "PEM file with its key; default: the certificate's file.") var tlsKey: String?
    @Option(help: "PEM file of authorities; every client must show a certificate of one of them.") var tlsClientCa: String?
    @Option(help: "The instance's name in logs, frames and the registry.") var name: String?
    @Option(help: "PostgreSQL URL. Better in KEYVANE_POSTGRES: others on this machine can read a command line.") var postgres: String?
    @Option(help: "Redis URL.") var redis: String?
    @Option(help: "File with the master keys.") var masterKeysFile: String?
    @Option(help: "Prefix of registry keys and channels but change-notifier.") var cluster: String?
    @Option(help: "HOST:PORT that others reach this instance at.") var advertise: String?
    @Option(help: "Redis channel of changes.") var changeChannel: String?
    @Option(help: "Event loops.") var loops: String?
    @Option(help: "Origins whose pages may use REST and watch, separated by commas; * for all.") var origins: String?

    @Option(help: "Balancers whose X-Forwarded-For names the client, such as 10.0.0.0/8, separated by commas.") var trustedProxies: String?

    var flags: [Setting: String] {
        [
            .listen: listen, .tlsCertificate: tlsCertificate, .tlsKey: tlsKey, .tlsClientCa: tlsClientCa, .name: name, .postgres: postgres,
            .redis: redis, .masterKeysFile: masterKeysFile, .cluster: cluster,
            .advertise: advertise, .changeChannel: changeChannel, .loops: loops, .origins: origins, .trustedProxies: trustedProxies,
        ].compactMapValues { $0 }
    }
}

/// What a gateway lets in.
struct GatewayOptions: ParsableArguments {
    @Option(help: "Watching connections at most.") var maximumConnections: String?
    @Option(help: "Watching connections of one token at most.") var maximumConnectionsPerToken: String?
    @Option(help: "Watches that may begin in a second.") var handshakeRate: String?
    @Option(help: "Bytes of a client's message at most.") var maximumMessage: String?
    @Option(help: "Environments that one connection may watch.") var maximumEnvironments: String?
    @Option(help: "Messages a second that a connection may send.") var messageRate: String?
    /// For conformance suites: every WebSocket is an echo.
    @Flag(help: .hidden) var echo = false

    var flags: [Setting: String] {
        [
            .maximumConnections: maximumConnections, .maximumConnectionsPerToken: maximumConnectionsPerToken,
            .handshakeRate: handshakeRate, .maximumMessage: maximumMessage, .maximumEnvironments: maximumEnvironments,
            .messageRate: messageRate,
        ].compactMapValues { $0 }
    }
}

/// The flags of APIs and gateways.
struct ProcessOptions: ParsableArguments {
    @Option(help: "YAML file with settings; flags and KEYVANE_* variables win over it.") var config: String?
    @OptionGroup var process: ProcessFlags

    /// Starts the role, where more than a check is wanted.
    func start(
        _ role: RoleKind,
        _ flags: [Setting: String],
        compose: @Sendable (Role) async throws -> [Component]
    ) async throws {
        let source = process.source(role, flags, file: config)
        guard let settings = try process.settings(of: source) else { return Terminal.line("The settings are valid.") }
        try await Role.run(source, settings, compose: compose)
    }
}

/// The flags of every long-running role.
struct ProcessFlags: ParsableArguments {
    @Option(help: "trace, debug, info, notice, warning, error or critical.") var logLevel: String?
    @Option(help: "json or text.") var logFormat: String?
    @Flag(help: "Check the settings and exit: 0 where they are good, 1 with everything that is wrong.") var checkConfig = false

    func source(_ role: RoleKind, _ flags: [Setting: String], file: String?) -> SettingsSource {
        let own = [Setting.logLevel: logLevel, .logFormat: logFormat].compactMapValues { $0 }
        return SettingsSource(
            role: role,
            flags: flags.merging(own) { _, own in own },
            environment: ProcessInfo.processInfo.environment,
            file: file
        )
    }

    /// nil where they were to be checked only, and are good.
    ///
    /// - Throws: everything that is wrong; a check that found something has failed, a start with it was wrongly asked for.
    func settings(of source: SettingsSource) throws -> Settings? {
        do {
            let settings = try source.read()
            return checkConfig ? nil : settings
        } catch  where checkConfig {
            throw RunError(error.description)
        }
    }
}
