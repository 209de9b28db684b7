// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import KeyvaneClient
import Reactor
import TestSupport
import Testing

extension ClusterSuite {
    @Suite struct SecrecyTests {
        /// A secret is written, read, watched and refused; then everything that the cluster keeps, sends or prints is searched for it.
        @Test func aSecretsPlaintextIsNowhereButInTheAnswersToThoseWhoMayReadIt() async throws {
            let plaintext = "correct-horse-\(UUID().uuidString)"
            try await withCluster(environment: ["KEYVANE_LOG_LEVEL": "trace"]) { cluster in
                _ = try await cluster.createEnvironment()
                let state = try cluster.state
                let tap = try RedisTap(state.redis.url)
                tap.subscribe()
                let watchers = try cluster.watchers()
                try await withWatchers(watchers) {
                    try await cluster.put("API_KEY", plaintext, kind: "secrets")
                    for watcher in watchers {
                        try await watcher.reached(1)
                        let values = watcher.events.all.compactMap { event -> String? in
                            if case .change(let change, _, _, _) = event { change.value } else { nil }
                        }
                        #expect(values == [plaintext])
                    }
                    let read = try await cluster.rest.call("GET", "\(Cluster.restPath)/secrets/API_KEY")
                    #expect(read.text.contains(plaintext))
                    // Refusals must not repeat what they refuse.
                    for (path, body) in [
                        ("variables/API_KEY", "{\"value\":\"\(plaintext)\"}"), ("secrets/API_KEY", "{\"value\":\"\(plaintext)\",\"x\":1}"),
                        ("secrets/1X", "{\"value\":\"\(plaintext)\"}"), ("secrets/B", "{\"value\":\"\(plaintext)\\u0000\"}"),
                    ] {
                        let refused = try await cluster.rest.call("PUT", "\(Cluster.restPath)/\(path)", body: body)
                        #expect(refused.status >= 400)
                        #expect(!refused.text.contains(plaintext))
                    }
                    let list = try await cluster.rest.call("GET", "\(Cluster.restPath)/secrets")
                    #expect(list.text.contains("API_KEY") && !list.text.contains(plaintext))
                }
                let messages = try await tap.messages.until("the message") { !$0.isEmpty }
                #expect(messages.contains { $0.contains("sealed:v1:") })
                #expect(!messages.contains { $0.contains(plaintext) })
                let keys = try tap.command("KEYS", "*")
                #expect(!keys.contains(plaintext))
                let dump = try await databaseDump(state.postgres.url)
                #expect(dump.contains("API_KEY") && dump.contains("sealed:v1:"))
                #expect(!dump.contains(plaintext))
                let admin = try #require(URL(string: state.admin)?.port.map { UInt16($0) })
                for port in state.apis.map(\.port) + state.gateways.map(\.port) + [admin] {
                    let metrics = try await PlainHTTP(port: port).call("GET", "/metrics")
                    #expect(metrics.status == 200 && !metrics.text.contains(plaintext) && !metrics.text.contains(state.token))
                }
                // What was printed so far, at the level that prints most. The token stands in dev's greeting, and in no log line.
                let output = try cluster.output
                #expect(!output.contains(plaintext))
                let logged = output.split(separator: "\n").filter { $0.hasPrefix("{") }.joined(separator: "\n")
                #expect(!logged.isEmpty)
                #expect(!logged.contains(state.token))
                let password = try #require(URL(string: state.postgres.url)?.password)
                #expect(!output.contains(password))
            }
        }
    }
}

/// Every row of the database as SQL text.
private func databaseDump(_ url: String) async throws -> String {
    let file = "/tmp/keyvane-tests-\(getpid())-dump.sql"
    defer { unlink(file) }
    let ended = Events<ChildExit>()
    try await LoopGroup.withLoops(count: 1) { group in
        let loop = group.loops[0]
        try await loop.run {
            _ = try ChildProcess.spawn(
                ["pg_dump", "--inserts", "--file", file, url],
                environment: ProcessInfo.processInfo.environment,
                on: loop
            ) { ended.emit($0) }
        }
        let exit = try await ended.first("pg_dump")
        #expect(exit == .code(0))
    }
    return try String(contentsOfFile: file, encoding: .utf8)
}
