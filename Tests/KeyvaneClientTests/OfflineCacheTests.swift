// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import KeyvaneClient
import Testing

/// Starting while the service is away.
@Suite("Offline cache")
struct OfflineCacheTests {
    private static let environment = "acme/web/production"
    private let path = "/tmp/keyvane-cache-\(ProcessInfo.processInfo.processIdentifier)-\(UUID().uuidString.prefix(8))"

    @Test("the last state is there, for the same token, environment and names only, and unreadable to everybody else")
    func lastState() async throws {
        defer { try? FileManager.default.removeItem(atPath: path) }
        try await ScriptedGateway.run { _, socket in
            _ = try await socket.subscribe()
            try await socket.send(try GoldenMessages.json(GoldenMessages.snapshot(5, ["PASSWORD": "s3cret"])))
            try await socket.send(try GoldenMessages.json(GoldenMessages.changes(5, 6, [("PASSWORD", "s3cret2")])))
            _ = try await socket.closeCode()
        } _: { gateway in
            var live = try gateway.client().watch(Self.environment, offlineCache: OfflineCache(path: path)).makeAsyncIterator()
            while let configuration = try await live.next(), configuration.revision < 6 {}
        }
        let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        for text in ["s3cret", "PASSWORD", "kv_test"] { #expect(bytes.range(of: Data(text.utf8)) == nil) }
        #expect(try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int == 0o600)

        let cached = try await first()
        #expect(cached?.values == ["PASSWORD": "s3cret2"] && cached?.revision == 6)
        #expect(try await first(token: "kv_other") == nil)
        #expect(try await first(environment: "acme/web/staging") == nil)
        #expect(try await first(names: ["PASS*"]) == nil)
        var damaged = bytes
        damaged[damaged.count - 1] ^= 1
        try damaged.write(to: URL(fileURLWithPath: path))
        #expect(try await first() == nil)
    }

    /// What a watch gives while nobody answers; nil where that is nothing for the length of a few attempts.
    private func first(
        token: String = "kv_test",
        environment: String = Self.environment,
        names: [String] = []
    ) async throws -> EnvironmentConfiguration? {
        var settings = ClientSettings(url: "http://127.0.0.1:1", token: token)
        settings.watch.initialBackoff = .milliseconds(1)
        settings.watch.maximumBackoff = .milliseconds(20)
        let client = try ConfigurationClient(settings)
        let watch = client.watch(environment, names: names, offlineCache: OfflineCache(path: path))
        return try await withThrowingTaskGroup(of: EnvironmentConfiguration?.self) { group in
            group.addTask {
                var iterator = watch.makeAsyncIterator()
                return try await iterator.next()
            }
            group.addTask {
                // Attempts that are refused one after the other: by then a cache that counts would have been read.
                var events = client.events(environment).makeAsyncIterator()
                for _ in 0..<20 { _ = try await events.next() }
                return nil
            }
            defer { group.cancelAll() }
            return try await group.next() ?? nil
        }
    }
}
