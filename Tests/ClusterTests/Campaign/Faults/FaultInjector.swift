// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Synchronization
import TestSupport

/// Breaks things, each kind on a track of its own, so that faults overlap; every track draws from the seed alone. What it breaks, it mends
/// before it returns.
final class FaultInjector: Sendable {
    private let cluster: Cluster
    private let redis: RedisProcess
    private let proxy: RedisProxy
    private let database: PostgresDatabase
    private let population: CampaignPopulation
    private let flooder: CampaignWriter
    private let wide: [Int]
    private let seed: UInt64
    private let counts = Mutex<[String: Int]>([:])
    private let journal = Mutex<[String]>([])
    /// Nobody is killed meanwhile: whoever is to fall behind needs a connection that lasts.
    private let isFlooding = Mutex(false)
    private let begun = ContinuousClock.now

    init(
        cluster: Cluster,
        redis: RedisProcess,
        proxy: RedisProxy,
        database: PostgresDatabase,
        population: CampaignPopulation,
        flooder: CampaignWriter,
        wide: [Int],
        seed: UInt64
    ) {
        self.cluster = cluster
        self.redis = redis
        self.proxy = proxy
        self.database = database
        self.population = population
        self.flooder = flooder
        self.wide = wide
        self.seed = seed
    }

    /// How often each fault was injected, and when.
    var faults: [String: Int] { counts.withLock { $0 } }
    var story: [String] { journal.withLock { $0 } }

    func run(for time: Duration, breaksServers: Bool) async throws {
        let deadline = ContinuousClock.now + time
        try await withThrowingTaskGroup(of: Void.self) { tracks in
            tracks.addTask { [self] in try await disconnects(until: deadline) }
            if breaksServers {
                tracks.addTask { [self] in try await processes(until: deadline) }
                tracks.addTask { [self] in try await doorbell(until: deadline) }
                tracks.addTask { [self] in try await postgres(until: deadline) }
            }
            tracks.addTask { [self] in try await stalls(until: deadline) }
            try await tracks.waitForAll()
        }
    }

    private func note(_ fault: String, _ detail: String = "", count: Int = 1) {
        counts.withLock { $0[fault, default: 0] += count }
        journal.withLock { $0.append("\(ContinuousClock.now - begun) \(fault) \(detail)") }
    }

    /// The time between two faults.
    private func pause(_ time: Duration, until deadline: ContinuousClock.Instant) async throws -> Bool {
        try await ContinuousClock().sleep(for: min(time, deadline - .now))
        return ContinuousClock.now < deadline
    }

    // MARK: Tracks

    /// `kill -9` of one of our own processes; dev starts it again.
    private func processes(until deadline: ContinuousClock.Instant) async throws {
        var generator = SeededGenerator(seed, stream: 101)
        while try await pause(generator.duration(500...1_700), until: deadline) {
            let victim = Int.random(in: 0..<6, using: &generator)
            // While a part is down, the state file is that from before.
            guard !isFlooding.withLock({ $0 }), let state = try? cluster.state else { continue }
            let (name, pid): (String, Int32) =
                switch victim {
                case 0, 1: ("kill -9 API", state.apis[victim % state.apis.count].pid)
                case 2, 3, 4: ("kill -9 gateway", state.gateways[victim % state.gateways.count].pid)
                default: ("kill -9 balancer", state.balancer.pid)
                }
            guard Self.isOurs(pid), kill(pid, SIGKILL) == 0 else { continue }
            note(name, "\(pid)")
        }
    }

    /// A number that was ours may be somebody else's by now.
    private static func isOurs(_ pid: Int32) -> Bool {
        let command = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline") ?? Data()
        return String(decoding: command, as: UTF8.self).contains("keyvane")
    }

    private func doorbell(until deadline: ContinuousClock.Instant) async throws {
        var generator = SeededGenerator(seed, stream: 102)
        while try await pause(generator.duration(500...2_000), until: deadline) {
            switch Int.random(in: 0..<8, using: &generator) {
            case 0:
                note("kill -9 Redis")
                await redis.kill()
                _ = try await pause(generator.duration(100...2_000), until: deadline)
                try await redis.start()
            case 1:
                try await redis.command("FLUSHALL")
                note("FLUSHALL")
            case 2, 3:
                note("Redis paused")
                redis.pause()
                _ = try await pause(generator.duration(300...3_000), until: deadline)
                redis.resume()
            case 4:
                try await proxy.cut()
                note("Redis connections cut")
            default:
                note("Redis messages dropped, doubled, reordered")
                let salt = generator.next()
                proxy.onMessage { Self.verdict($0, salt) }
                _ = try await pause(generator.duration(1_000...4_000), until: deadline)
                proxy.onMessage { _ in .forward }
            }
        }
        redis.resume()
        proxy.onMessage { _ in .forward }
        if redis.pid == nil { try await redis.start() }
    }

    private static func verdict(_ message: RedisProxyMessage, _ salt: UInt64) -> RedisProxyVerdict {
        var generator = SeededGenerator(salt, stream: message.index)
        switch Int.random(in: 0..<10, using: &generator) {
        case 0, 1: return .drop
        case 2, 3: return .duplicate
        case 4: return .swapWithNext
        case 5: return .delay(generator.duration(1...300))
        default: return .forward
        }
    }

    private func postgres(until deadline: ContinuousClock.Instant) async throws {
        var generator = SeededGenerator(seed, stream: 103)
        while try await pause(generator.duration(6_000...12_000), until: deadline) {
            let mode = generator.chance(50) ? "fast" : "immediate"
            note("PostgreSQL restarted (\(mode))")
            try await database.server.stop(mode: mode)
            try await database.server.startAgain()
        }
    }

    private func disconnects(until deadline: ContinuousClock.Instant) async throws {
        var generator = SeededGenerator(seed, stream: 104)
        let clients = try await population.count()
        while try await pause(generator.duration(200...900), until: deadline) {
            let numbers = Array((0..<clients).shuffled(using: &generator).prefix(Int.random(in: 1...6, using: &generator)))
            let byReset = generator.chance(50)
            try await population.disconnect(numbers, byReset: byReset)
            note(byReset ? "clients gone with RST" : "clients gone with FIN", count: numbers.count)
        }
    }

    /// Some stop reading anywhere; and now and then somebody does where much is written, until he is conflated.
    private func stalls(until deadline: ContinuousClock.Instant) async throws {
        var generator = SeededGenerator(seed, stream: 105)
        let clients = try await population.count()
        var turn = 0
        while try await pause(generator.duration(500...2_000), until: deadline) {
            turn += 1
            guard turn.isMultiple(of: 4), let environment = wide.randomElement(using: &generator) else {
                let numbers = Array((0..<clients).shuffled(using: &generator).prefix(5))
                try await population.stall(numbers, for: generator.duration(500...5_000))
                note("clients stalled", count: numbers.count)
                continue
            }
            let numbers = try await population.clients(of: environment)
            try await population.stall(numbers, for: .seconds(25))
            note("clients stalled under large values", "\(numbers)", count: numbers.count)
            isFlooding.withLock { $0 = true }
            defer { isFlooding.withLock { $0 = false } }
            try await flooder.flood(environment, count: 120, bytes: 60_000)
            try await population.resume(numbers)
        }
    }
}
