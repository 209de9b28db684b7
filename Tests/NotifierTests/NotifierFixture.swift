// Keyvane
// SPDX-License-Identifier: Apache-2.0

import CoreMetrics
import Foundation
import Logging
import Notifier
import Reactor
import Synchronization
import TestSupport

/// What the tests of this target start from.
enum NotifierFixture {
    static let authenticator = MessageAuthenticator(key: Array(0..<32))
    static let environmentID = "0b9cbe1e-6f0c-4f3a-9d0e-3a5f0c1d2e3f"
    static let otherEnvironmentID = "ffffffff-0000-4000-8000-00000000000a"

    /// A change of its own transaction unless bounds are given.
    static func change(
        _ revision: Int64,
        environmentID: String = environmentID,
        name: String = "DB_HOST",
        value: String? = "10.0.0.9",
        first: Int64? = nil,
        last: Int64? = nil
    ) -> ChangeMessage {
        ChangeMessage(
            environmentID: environmentID,
            name: name,
            value: value,
            isSecret: false,
            operation: value == nil ? .delete : .set,
            revision: revision,
            version: 3,
            first: first ?? revision,
            last: last ?? revision,
            mark: UInt32(truncatingIfNeeded: 0x9f3a_0000 + revision),
            at: "2026-11-21T02:48:26.123Z",
            by: "token:ab12cd34"
        )
    }

    static func golden(_ name: String) throws -> String {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let file = folder.appendingPathComponent("Golden/notifier/\(name)")
        return try String(contentsOf: file, encoding: .utf8).trimmingCharacters(in: .newlines)
    }

    /// With a patience that a busy test machine doesn't use up; tests of a paused Redis take the real one.
    static func configuration(_ url: String, answerLimit: Duration = .seconds(10)) throws -> NotifierConfiguration {
        var configuration = NotifierConfiguration(endpoint: try RedisEndpoint(parsing: url))
        configuration.answerLimit = answerLimit
        return configuration
    }
}

/// Runs a client on a loop of its own for as long as `body` does.
func withClient<Value>(
    _ configuration: NotifierConfiguration,
    waits: Bool = true,
    metrics: NotifierMetrics = NotifierMetrics(factory: NOOPMetricsHandler.instance),
    log: CapturedLog = CapturedLog(),
    isolation: isolated (any Actor)? = #isolation,
    _ body: (RedisClient) async throws -> Value
) async throws -> Value {
    try await LoopGroup.withLoops(count: 1) { group in
        let client = RedisClient(configuration, on: group.loops[0], metrics: metrics, logger: log.logger)
        return try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { await client.run() }
            if waits { try await client.reached() }
            let value = try await body(client)
            tasks.cancelAll()
            try await tasks.waitForAll()
            return value
        }
    }
}

/// Runs a subscriber on `loop` for as long as `body` does; it gets the batches as they come.
func withSubscriber<Value>(
    _ configuration: NotifierConfiguration,
    on loop: Loop,
    waits: Bool = true,
    metrics: NotifierMetrics = NotifierMetrics(factory: NOOPMetricsHandler.instance),
    log: CapturedLog = CapturedLog(),
    isolation: isolated (any Actor)? = #isolation,
    _ body: (Events<[SubscriberEvent]>) async throws -> Value
) async throws -> Value {
    let batches = Events<[SubscriberEvent]>()
    let subscriber = try await loop.run {
        let subscriber = ChangeSubscriber(
            configuration,
            authenticator: NotifierFixture.authenticator,
            on: loop,
            metrics: metrics,
            logger: log.logger
        ) { batches.emit($0) }
        subscriber.start()
        return LoopBound(subscriber, loop: loop)
    }
    do {
        if waits { try await batches.until("the subscription") { $0.joined().contains(.connected) } }
        let value = try await body(batches)
        try await loop.run { subscriber.value.stop() }
        return value
    } catch {
        try await loop.run { subscriber.value.stop() }
        throw error
    }
}

extension RedisClient {
    nonisolated func reached() async throws {
        _ = try await eventually("Redis") { self.isConnected ? true : nil }
    }

    nonisolated func lost() async throws {
        _ = try await eventually("the loss of Redis") { self.isConnected ? nil : true }
    }
}

extension [SubscriberEvent] {
    var messages: [ChangeMessage] {
        compactMap { if case .message(let message) = $0 { message } else { nil } }
    }
}

extension Events<[SubscriberEvent]> {
    var flat: [SubscriberEvent] { all.flatMap(\.self) }

    func messages(_ count: Int) async throws -> [ChangeMessage] {
        try await until("\(count) messages") { $0.flatMap(\.messages).count >= count }.flatMap(\.messages)
    }
}

/// Everything that was logged, as text.
final class CapturedLog: Sendable {
    private let text = Mutex("")

    var logger: Logger {
        Logger(label: "test") { _ in Handler(log: self) }
    }

    var contents: String { text.withLock { $0 } }

    private struct Handler: LogHandler {
        let log: CapturedLog
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let all = metadata.merging(event.metadata ?? [:]) { $1 }
            log.text.withLock { $0 += "\(event.level) \(event.message) \(all)\n" }
        }
    }
}

/// Counters by label and dimensions.
final class CountingMetrics: MetricsFactory {
    private let counts = Mutex<[String: Int64]>([:])

    subscript(_ key: String) -> Int64 { counts.withLock { $0[key, default: 0] } }

    func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        Cell(metrics: self, key: ([label] + dimensions.map { "\($0.0)=\($0.1)" }).joined(separator: " "))
    }

    func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler { NOOPMetricsHandler.instance }
    func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler { NOOPMetricsHandler.instance }
    func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler { NOOPMetricsHandler.instance }
    func destroyCounter(_ handler: any CounterHandler) {}
    func destroyRecorder(_ handler: any RecorderHandler) {}
    func destroyTimer(_ handler: any TimerHandler) {}

    private final class Cell: CounterHandler {
        let metrics: CountingMetrics
        let key: String

        init(metrics: CountingMetrics, key: String) {
            self.metrics = metrics
            self.key = key
        }

        func increment(by amount: Int64) { metrics.counts.withLock { $0[key, default: 0] += amount } }
        func reset() {}
    }
}
