// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Logging
package import Reactor
import Synchronization
package import Wire

// How a process talks to Redis: one connection a purpose, which comes back by itself.
// Flows through: commands out in the order they were given, replies back in the same order, published messages as they arrive.
// Owner: a RedisLink owns one RedisConnection at a time; RedisClient (commands) and ChangeSubscriber own a link each. All on one loop.
// Must hold: no queue without a limit in bytes; a command is answered or failed exactly once; a Redis that stays silent for 600 ms is away;
//   no password in a description, an error or a log line.

/// Commands to one Redis, pipelined on one connection that comes back by itself. An actor on its loop; while Redis is away every call fails
/// at once.
package actor RedisClient {
    package nonisolated let loop: Loop
    package nonisolated let configuration: NotifierConfiguration
    nonisolated let budget: ByteBudget
    private nonisolated let shared = Mutex(Shared())
    private let link: RedisLink

    private struct Shared {
        var isConnected = false
        var lastFailure: NotifierError?
        var observers: [@Sendable () -> Void] = []
    }

    package init(_ configuration: NotifierConfiguration, on loop: Loop, metrics: NotifierMetrics, logger: Logger) {
        self.configuration = configuration
        self.loop = loop
        budget = ByteBudget(limit: configuration.queueLimit)
        link = RedisLink(configuration, purpose: .commands, on: loop, metrics: metrics, logger: logger)
    }

    package nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    package nonisolated var isConnected: Bool { shared.withLock { $0.isConnected } }

    /// Why Redis is away; nil while it is not, and before the first attempt ended.
    package nonisolated var lastFailure: NotifierError? { shared.withLock { $0.lastFailure } }

    /// Keeps connected until the task is cancelled; then what still waits for an answer fails. To be called once, and to end before the loop.
    package func run() async {
        link.start(
            RedisLink.Events(
                opened: { [weak self] in self?.opened() },
                lost: { _ in },
                failed: { [weak self] in self?.failed($0) }
            )
        )
        await untilCancelled()
        link.stop()
        failed(NotifierError(.away, "this process has left Redis"))
    }

    /// Calls `body`, on the loop, each time Redis is reached anew. It is kept as long as the client.
    nonisolated func whenConnected(_ body: @escaping @Sendable () -> Void) {
        shared.withLock { $0.observers.append(body) }
    }

    /// One command.
    ///
    /// - Throws: `redis_away`, after which the command may have been done or not; `redis_queue_full`; `redis_refused`.
    package nonisolated func send(_ arguments: String...) async throws(NotifierError) -> RESPValue {
        let replies = try await pipeline(RESPCommand.encode(arguments), count: 1)
        guard let reply = replies.first else { throw .away(lastFailure) }
        if case .error(let text) = reply { throw .reply(text, to: arguments.first ?? "") }
        return reply
    }

    /// `count` encoded commands in one write; error replies are among the values.
    package nonisolated func pipeline(_ bytes: [UInt8], count: Int) async throws(NotifierError) -> [RESPValue] {
        guard isConnected else { throw .away(lastFailure) }
        try budget.take(bytes.count)
        defer { budget.giveBack(bytes.count) }
        return try await perform(bytes, count: count).get()
    }

    private func perform(_ bytes: [UInt8], count: Int) async -> Result<[RESPValue], NotifierError> {
        await withCheckedContinuation { continuation in
            write(bytes, count: count) { continuation.resume(returning: $0) }
        }
    }

    /// For callers on the loop that have taken their bytes from the budget.
    func write(_ bytes: [UInt8], count: Int, _ completion: @escaping CommandQueue.Completion) {
        guard let connection = link.ready else {
            completion(.failure(.away(lastFailure)))
            return
        }
        connection.send(bytes, count: count, completion)
    }

    private nonisolated func opened() {
        let observers = shared.withLock { shared in
            shared.isConnected = true
            shared.lastFailure = nil
            return shared.observers
        }
        for observer in observers { observer() }
    }

    private nonisolated func failed(_ error: NotifierError) {
        shared.withLock { shared in
            shared.isConnected = false
            shared.lastFailure = error
        }
    }
}

/// Returns when the current task is cancelled.
func untilCancelled() async {
    let (stream, continuation) = AsyncStream<Never>.makeStream()
    for await _ in stream {}
    continuation.finish()
}
