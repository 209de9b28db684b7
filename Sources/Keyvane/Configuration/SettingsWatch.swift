// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Logging

/// Takes over what may change of an API's or gateway's settings: at SIGHUP from its file, and its certificates whenever their files have
/// other content. One for each process.
actor SettingsWatch {
    private static let interval = Duration.seconds(1)

    private let source: SettingsSource
    private let start: Settings
    private var applied: Settings
    /// All or nothing: what can fail comes first.
    private let adopt: @Sendable (Settings) throws -> Void
    private let manager: ServiceManager
    private let logger: Logger

    init(_ role: Role, adopt: @escaping @Sendable (Settings) throws -> Void) {
        source = role.source
        start = role.settings
        applied = role.settings
        manager = role.manager
        logger = role.logger
        self.adopt = adopt
    }

    /// Until the task is cancelled; hangups wait until the role serves, for a word of readiness before that would be a lie.
    func run(hangups: AsyncStream<Int32>, once serving: @Sendable () async throws -> Void) async throws {
        try await serving()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { for await _ in hangups { await self.reload() } }
            group.addTask { try await self.watchCertificates() }
            try await group.waitForAll()
        }
    }

    private func reload() {
        manager.isReloading()
        do {
            let new = try source.read()
            let own = Setting.all.filter { $0.roles.contains(source.role) }
            let late = own.filter { new.text($0) != start.text($0) && !isReloadable($0, new) }
            let changed = own.filter { new.text($0) != applied.text($0) && isReloadable($0, new) }
            try adopt(new)
            applied = new
            logger.notice("Settings are read again", metadata: ["changes": .string(Self.keys(changed))])
            if !late.isEmpty {
                logger.warning("These settings change with a restart only", metadata: ["changes": .string(Self.keys(late))])
            }
            manager.isReady("Serving; settings read again")
        } catch {
            let faults = (error as? SettingsFaults)?.faults.map(\.description) ?? ["\(error)"]
            for fault in faults { logger.error("Settings are refused; the old ones stay", metadata: ["error": .string(fault)]) }
            manager.isReady("Serving; new settings refused")
        }
    }

    /// TLS comes and goes with a restart; other files for it don't need one.
    private func isReloadable(_ setting: Setting, _ new: Settings) -> Bool {
        guard [.tlsCertificate, .tlsKey, .tlsClientCa].contains(setting) else { return setting.isReloadable }
        return start.text(.tlsCertificate) != nil && new.text(.tlsCertificate) != nil
    }

    private static func keys(_ settings: [Setting]) -> String {
        settings.isEmpty ? "none" : settings.map(\.key).joined(separator: " ")
    }

    private func watchCertificates() async throws {
        var files = WatchedFiles(certificates)
        while true {
            try await Task.sleep(for: Self.interval)
            files.follow(certificates)
            guard files.haveChanged() else { continue }
            // Certificate and key are two files, and somebody may be writing still.
            for _ in 0..<10 {
                try await Task.sleep(for: .milliseconds(100))
                if !files.haveChanged() { break }
            }
            do {
                try adopt(applied)
                logger.notice("Certificates have changed")
            } catch {
                logger.error("Changed certificates can't be used; the old ones stay", metadata: ["error": .string("\(error)")])
            }
        }
    }

    private var certificates: [String] {
        [Setting.tlsCertificate, .tlsKey, .tlsClientCa].compactMap { applied.text($0) }
    }
}
