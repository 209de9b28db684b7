// Keyvane
// SPDX-License-Identifier: Apache-2.0

import API
import Gateway
import Reactor
import Store

/// What the libraries are told: made at the start, and again whenever the settings are read anew.
extension Settings {
    func api(instance: String) throws -> APIConfiguration {
        var configuration = APIConfiguration()
        let listen = try endpoint(.listen, fallback: "127.0.0.1:8081")
        guard case .tcp(let host, let port) = listen.kind else {
            throw SettingsError(.listen, "an API listens on HOST:PORT, not on \(listen)")
        }
        configuration.host = host.isEmpty ? "0.0.0.0" : host
        configuration.port = Int(port)
        configuration.tls = try serverTLS().map {
            APITLS(certificate: $0.certificate, key: $0.key, clientAuthorities: $0.clientAuthorities)
        }
        configuration.instance = instance
        configuration.version = Composition.version
        configuration.drainDelay = try duration(.drainDelay)
        configuration.origins = try origins()
        configuration.maximumBodyBytes = try count(.maximumBody) ?? configuration.maximumBodyBytes
        configuration.maximumImportBytes = try count(.maximumImport) ?? configuration.maximumImportBytes
        return configuration
    }

    func retentionPolicy() throws -> RetentionPolicy {
        RetentionPolicy(changes: try retention(.keepChanges), audit: try retention(.keepAudit))
    }

    func gateway(name: String, echoes: Bool) throws -> GatewayConfiguration {
        var configuration = GatewayConfiguration(listen: try endpoint(.listen, fallback: "127.0.0.1:8091"), name: name)
        configuration.version = Composition.version
        configuration.tls = try serverTLS().map {
            var options = TLSServerOptions(certificates: [.init(certificate: $0.certificate, key: $0.key)])
            options.clientAuthorities = $0.clientAuthorities
            return options
        }
        let room = Role.connectionRoom
        configuration.maximumConnections = try count(.maximumConnections, atMost: room) ?? room
        configuration.maximumConnectionsPerToken = try count(.maximumConnectionsPerToken)
        configuration.handshakeRate = try count(.handshakeRate)
        configuration.maximumMessage = try count(.maximumMessage) ?? configuration.maximumMessage
        let limits = WatchLimits()
        configuration.limits = WatchLimits(
            environments: try count(.maximumEnvironments).map(UInt16.init) ?? limits.environments,
            messagesPerSecond: try count(.messageRate).map(UInt16.init) ?? limits.messagesPerSecond
        )
        let origins = try origins()
        configuration.echoes = echoes
        if !origins.isEmpty { configuration.origins = origins.contains("*") ? .any : .listed(origins) }
        return configuration
    }
}
