// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Gateway
import Reactor
import Store
import TestSupport
import Testing
import Wire

/// A socket that doesn't read lags, is conflated, and costs the others nothing.
@Suite struct SlowConsumerTests {
    private static func residentBytes() throws -> Int {
        let text = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8)
        return (Int(text.split(separator: " ")[1]) ?? 0) * 4096
    }

    @Test func aStalledSocketIsConflated() async throws {
        try await GatewayFixture.with { gateway in
            let healthy = try await gateway.watch()
            let stalled = try await gateway.watch()
            stalled.client.pauseReading()
            let big = String(repeating: "v", count: 60_000)
            var last: Int64 = 0
            // The kernel's buffers take some MiB of it, the log 1 MiB; this is far more.
            for round in 0..<400 { last = try await gateway.commit(.set("K_\(round % 4)", "\(round) \(big)"))[0].revision }
            let values = try await healthy.values(at: last)
            let healthyCount = healthy.frames.flatMap { $0.changes ?? [] }.count
            #expect(healthyCount == 400)
            stalled.client.resumeReading()
            let conflated = try await stalled.values(at: last)
            #expect(conflated == values)
            let stalledCount = stalled.frames.flatMap { $0.changes ?? $0.entries ?? [] }.count
            #expect(stalledCount < 400)
            // Live again.
            try await gateway.commit(.set("END", "1"))
            let end = try await stalled.values(at: last + 1)
            #expect(end["END"] == "1")
        }
    }

    @Test func memoryStaysBoundedWithManyStalledSockets() async throws {
        try await GatewayFixture.with { gateway in
            let healthy = try await gateway.watch()
            var stalled: [Watcher] = []
            for _ in 0..<40 {
                let watcher = try await gateway.watch()
                watcher.client.pauseReading()
                stalled.append(watcher)
            }
            let big = String(repeating: "v", count: 60_000)
            for round in 0..<60 { try await gateway.commit(.set("K", "\(round) \(big)")) }
            try await healthy.values(at: 60)
            let before = try Self.residentBytes()
            for round in 60..<360 { try await gateway.commit(.set("K", "\(round) \(big)")) }
            try await healthy.values(at: 360)
            // 300 changes of 60 kB to 40 sockets would be 720 MB of queues; the healthy client's own copy is 18 MB, and other tests run beside this.
            let growth = try Self.residentBytes() - before
            #expect(growth < 400 * 1024 * 1024)
            for watcher in stalled { watcher.client.resumeReading() }
            for watcher in stalled {
                let values = try await watcher.values(at: 360)
                #expect(values == ["K": "359 \(big)"])
            }
        }
    }

    @Test func whoTakesNothingIsGivenUp() async throws {
        try await GatewayFixture.with(configure: {
            $0.stallLimit = .seconds(1)
            $0.closeDeadline = .milliseconds(500)
            $0.heartbeat = .seconds(2)
        }) { gateway in
            let healthy = try await gateway.watch()
            let stalled = try await gateway.watch()
            stalled.client.pauseReading()
            let big = String(repeating: "v", count: 60_000)
            for round in 0..<300 { try await gateway.commit(.set("K", "\(round) \(big)")) }
            let left = try await eventually("the end of the stalled one") { gateway.service.connections == 1 ? 1 : nil }
            #expect(left == 1)
            let values = try await healthy.values(at: 300)
            #expect(values["K"]?.hasPrefix("299 ") == true)
        }
    }

    @Test func aSilentPeerIsClosed() async throws {
        try await GatewayFixture.with(configure: {
            $0.heartbeat = .milliseconds(400)
            $0.silenceLimit = .seconds(5)
        }) { gateway in
            let talking = try await gateway.watch()
            let silent = try await gateway.watch { $0.answersPings = false }
            let end = try await silent.client.end()
            #expect(end == .closed(1001, "nothing was heard for too long"))
            _ = try await eventually("the silent one's place") { gateway.service.connections <= 1 ? true : nil }
            talking.client.close()
        }
    }

    /// Regression: no ping goes to a socket that is blocked, so that a slow one counted as silent the moment it read again.
    @Test func whoWasBlockedForLongIsNotSilent() async throws {
        try await GatewayFixture.with(configure: {
            $0.heartbeat = .milliseconds(800)
            // Longer than a busy test machine stands still, or the healthy one would count as silent.
            $0.silenceLimit = .seconds(8)
        }) { gateway in
            let healthy = try await gateway.watch()
            let stalled = try await gateway.watch()
            stalled.client.pauseReading()
            let big = String(repeating: "v", count: 60_000)
            for round in 0..<200 { try await gateway.commit(.set("K_\(round % 4)", "\(round) \(big)")) }
            try await healthy.values(at: 200)
            let heartbeats = healthy.client.messages.count { $0.contains(#""heartbeat""#) }
            try await healthy.client.until("more than the limit") { $0.count { $0.contains(#""heartbeat""#) } >= heartbeats + 12 }
            stalled.client.resumeReading()
            let values = try await stalled.values(at: 200)
            #expect(values.count == 4)
            try await stalled.client.until("a heartbeat") { $0.last?.contains(#""heartbeat""#) == true }
        }
    }

    /// A client that asks without reading the answers is not read any further, and its answers don't pile up.
    @Test func questionsWithoutReadingAnswersAreBounded() async throws {
        try await GatewayFixture.with { gateway in
            let client = try await gateway.connect()
            _ = try await client.message("ready")
            client.pauseReading()
            let payload = [UInt8](repeating: 0x41, count: 125)
            for _ in 0..<200 {
                client.perform { connection in
                    for _ in 0..<1_000 { connection.send(.ping, payload) }
                }
            }
            let watcher = try await gateway.watch()
            try await gateway.commit(.set("A", "1"))
            let values = try await watcher.values(at: 1)
            #expect(values == ["A": "1"])
            client.resumeReading()
            client.send(#"{"type":"subscribe","environment":"acme/web/production"}"#)
            _ = try await client.message("snapshot")
        }
    }
}
