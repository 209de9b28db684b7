// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Glibc
import Logging
import Reactor

/// Reads the configuration again where somebody asks, by SIGHUP, or where a file of it has other content. One for each service.
struct ConfigurationWatch: Sendable {
    static let interval = Duration.seconds(1)

    let source: BalancerSource
    let service: BalancerService
    let manager: ServiceManager

    @discardableResult
    func reload() async -> ConfigurationReload {
        manager.isReloading()
        let result = await service.reload(source.read)
        manager.isReady("Serving; configuration \(result.rawValue)")
        return result
    }

    /// Until the task is cancelled.
    func run(hangups: AsyncStream<Int32>) async throws {
        _ = try await service.listening()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { for await _ in hangups { await reload() } }
            group.addTask { try await watchFiles() }
            try await group.waitForAll()
        }
    }

    private func watchFiles() async throws {
        var files = WatchedFiles(source.watchedFiles(isRefused: false))
        while true {
            try await Task.sleep(for: Self.interval)
            guard files.haveChanged() else { continue }
            // Somebody may be writing still: the second half of a file is no fault of the first.
            for _ in 0..<10 {
                try await Task.sleep(for: .milliseconds(100))
                if !files.haveChanged() { break }
            }
            let result = await reload()
            files.follow(source.watchedFiles(isRefused: result == .refused))
        }
    }
}
