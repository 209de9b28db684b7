// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Logging
import Notifier
import Reactor
import TestSupport

/// Lends a subscription to the change channel: `received` gets what comes on it, from the moment the body begins.
func withEvents(
    _ redis: RedisProcess,
    _ received: @escaping @Sendable ([SubscriberEvent]) -> Void,
    _ body: () async throws -> Void
) async throws {
    let configuration = NotifierConfiguration(endpoint: try RedisEndpoint(parsing: redis.url))
    let connected = Events<Bool>()
    try await LoopGroup.withLoops(count: 1) { loops in
        let loop = loops.next()
        let subscriber = try await loop.run {
            let subscriber = ChangeSubscriber(
                configuration,
                authenticator: MessageAuthenticator(key: Array("key of the tests".utf8)),
                on: loop,
                metrics: NotifierMetrics(),
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
            ) { events in
                for case .connected in events { connected.emit(true) }
                received(events)
            }
            subscriber.start()
            return LoopBound(subscriber, loop: loop)
        }
        _ = try await connected.first()
        try await body()
        try await loop.run { subscriber.value.stop() }
    }
}

/// What others are asked to do.
func withControls(_ redis: RedisProcess, _ controls: Events<ControlMessage>, _ body: () async throws -> Void) async throws {
    try await withEvents(redis) { events in
        for case .control(let message, isTrusted: true) in events { controls.emit(message) }
    } _: {
        try await body()
    }
}
