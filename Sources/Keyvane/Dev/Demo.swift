// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import KeyvaneClient
import NIOHTTP1

/// `keyvane dev --demo`: one change to every gateway, then again with Redis stopped, then with a gateway killed. Fails unless every watcher
/// got every change once and in order.
struct Demo {
    let cluster: DevCluster
    private let environment = "demo/shop/production"
    private let limit = Duration.seconds(15)

    func run() async throws {
        let client = try ConfigurationClient(ClientSettings(url: cluster.url, token: cluster.token))
        try await createEnvironment(client)
        let urls = cluster.gateways.map { "http://\($0)" }
        let watchers = urls.indices.map { index in
            DemoWatcher(urls: Array(urls[index...] + urls[..<index]), token: cluster.token, environment: environment)
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for watcher in watchers { group.addTask { try await watcher.run() } }
            group.addTask { try await steps(client, watchers) }
            // The watchers never return: the first to end is the demo itself, or the first failure.
            try await group.next()
            group.cancelAll()
        }
    }

    private func steps(_ client: ConfigurationClient, _ watchers: [DemoWatcher]) async throws {
        try await wait("the watchers to start") { watchers.allSatisfy { $0.head != nil } }

        Terminal.line("\nA change, written through the balancer on an API:")
        try await change(1, client, watchers)

        if cluster.ownsRedis {
            Terminal.line("\nThe same with Redis stopped (gateways ask PostgreSQL):")
            await cluster.processes.stop(["redis"], within: .seconds(5))
            try await change(1, client, watchers)
            try await cluster.processes.resume("redis")
        } else {
            Terminal.line("\nRedis is not dev's own (--redis), so it is not stopped here.")
        }

        let victim = DevCluster.gatewayName(cluster.gateways.count - 1)
        Terminal.line("\nThree changes, committed while \(victim) was killed (its watcher goes on elsewhere with `since`):")
        await cluster.processes.kill(victim, SIGKILL)
        try await change(3, client, watchers)

        if let fault = watchers.compactMap(\.fault).first { throw RunError("the demo failed: \(fault)") }
        Terminal.line("\nEvery watcher got every change, once and in order.")
    }

    /// Writes `count` changes, and prints when each watcher has the last.
    private func change(_ count: Int, _ client: ConfigurationClient, _ watchers: [DemoWatcher]) async throws {
        var revision = 0
        var sent = ContinuousClock.now
        for _ in 0..<count {
            sent = .now
            revision = try await client.set("DEMO", to: UUID().uuidString.lowercased(), in: environment).revision
        }
        let last = revision
        try await wait("revision \(last) on every watcher") { watchers.allSatisfy { $0.arrival(of: last) != nil } }
        for arrival in watchers.compactMap({ $0.arrival(of: last) }) {
            let milliseconds = (arrival.at - sent) / .milliseconds(1)
            Terminal.line("  \(arrival.gateway)  revision \(last)  \(String(format: "%.1f", milliseconds)) ms after the write was sent")
        }
    }

    private func createEnvironment(_ client: ConfigurationClient) async throws {
        for (path, slug) in [
            ("/v1/workspaces", "demo"), ("/v1/workspaces/demo/projects", "shop"), ("/v1/projects/demo/shop/environments", "production"),
        ] {
            do {
                _ = try await client.call(.POST, path, body: ["slug": slug])
            } catch {
                // 409: there from an earlier run.
                guard error.status == 409 else { throw error }
            }
        }
    }

    private func wait(_ what: String, until condition: () -> Bool) async throws {
        let deadline = ContinuousClock.now + limit
        while !condition() {
            guard ContinuousClock.now < deadline else { throw RunError("the demo failed: waited \(limit) for \(what)") }
            try await Task.sleep(for: .milliseconds(2))
        }
    }
}
