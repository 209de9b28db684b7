// Keyvane
// SPDX-License-Identifier: Apache-2.0

// What the balancer's library leaves to its process: where its configuration comes from, who finds its servers, as whom it runs.
// Flows through: flags or a file -> `BalancerSource`; SIGHUP, changed files and operators -> `ConfigurationWatch` -> the service;
//   the registry's records -> `InstanceFinder` -> the service.
// Owner: the role's components; each lives as long as the process.
// Must hold: a faulty file changes nothing and every fault is logged; a registry that is away takes no server with it.

import Balancer
import Reactor

/// Where the configuration comes from, however often it is asked. Immutable.
struct BalancerSource: Sendable {
    enum Origin: Sendable {
        case file(String)
        case flags(BalancerConfiguration)
    }

    let origin: Origin
    /// Of the environment; a file's own win.
    private let stickyKeys: StickyKeyRing?

    init(_ origin: Origin, settings: Settings) throws {
        self.origin = origin
        do {
            stickyKeys = try settings.text(.stickyKeys).map { try StickyKeyRing(parsing: $0) }
        } catch let error as BalancerError {
            throw SettingsError(.stickyKeys, error.message)
        }
    }

    /// The command line's configuration. Pools that the registry knows are found where `discover` is set.
    static func flags(_ settings: Settings, pools: [String]) throws -> BalancerConfiguration {
        var configurations: [PoolConfiguration] = []
        for text in pools {
            do throws(BalancerError) { configurations.append(try PoolFlag.parse(text)) } catch {
                throw SettingsError("--pool: \(error.message)")
            }
        }
        if settings.text(.discover) != nil {
            if configurations.isEmpty { configurations = ["api", "gateway"].map { PoolConfiguration(name: $0, servers: []) } }
            for index in configurations.indices where ["api", "gateway"].contains(configurations[index].name) {
                configurations[index].discover = [.redis]
            }
        }
        guard !configurations.isEmpty else {
            throw SettingsError("no servers: give --pool NAME=HOST:PORT, --discover redis://HOST:6379, or --config FILE")
        }
        var configuration = BalancerConfiguration(
            listeners: [try settings.endpoint(.listen, fallback: "127.0.0.1:8080")],
            pools: configurations
        )
        configuration.admin = AdminConfiguration(bind: try settings.endpoint(.admin))
        let format = try settings.required(.accessLog)
        guard let accessLog = AccessLogFormat(rawValue: format) else {
            throw SettingsError(.accessLog, "'\(format)' is none of: \(AccessLogFormat.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        configuration.accessLog = AccessLogRule(accessLog)
        return configuration
    }

    /// Blocks for as long as small files take to read.
    func read() throws(BalancerError) -> BalancerConfiguration {
        var configuration: BalancerConfiguration
        switch origin {
        case .file(let path): configuration = try ConfigurationFile.read(path)
        case .flags(let flags): configuration = flags
        }
        if configuration.stickyKeys == nil { configuration.stickyKeys = stickyKeys }
        return configuration
    }

    /// Files whose change is a change of the configuration. `isRefused`: what it says could not be used, for the lack of any file perhaps.
    func watchedFiles(isRefused: Bool) -> [String] {
        switch origin {
        case .file(let path): [path] + ConfigurationFile.references(of: path, withCertificates: isRefused)
        case .flags: []
        }
    }
}
