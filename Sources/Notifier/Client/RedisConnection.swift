// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor
import Wire

/// One connection's life, from connect to close; confined to its loop. A new life is a new object: see `RedisLink`.
final class RedisConnection: ConnectionHandler {
    /// What happens to a connection, on its loop. `closed` comes last, once, and never inside a call of the owner's.
    struct Events {
        var opened: () -> Void
        var closed: (NotifierError) -> Void
        /// A published message; the bytes are gone when the call returns.
        var message: (_ channel: Span<UInt8>, _ payload: Span<UInt8>) -> Void = { _, _ in }
        /// The messages of this read have all been told.
        var readEnded: () -> Void = {}
        /// Nodes of the cluster, while it greets.
        var nodes: ([Endpoint]) -> Void = { _ in }
        /// A node of the cluster named the owner of the keys in a command.
        var moved: (_ owner: Endpoint) -> Void = { _ in }
    }

    private let configuration: NotifierConfiguration
    private let server: Endpoint
    private let purpose: RedisPurpose
    private let greeting: RedisGreeting
    private let loop: Loop
    private var events: Events?
    private var machine: RedisConnectionStateMachine
    private var reader: RESPReader?
    private var queue = CommandQueue()
    private var connector: Connector?
    private var connection: Connection?
    private var timer: LoopTimer?

    init(
        _ configuration: NotifierConfiguration,
        to server: Endpoint,
        greeting: RedisGreeting,
        purpose: RedisPurpose,
        on loop: Loop,
        events: Events
    ) {
        self.configuration = configuration
        self.server = server
        self.greeting = greeting
        self.purpose = purpose
        self.loop = loop
        self.events = events
        machine = RedisConnectionStateMachine(
            steps: greeting.steps,
            greetingLimit: configuration.connectTimeout.wholeMilliseconds,
            silenceLimit: configuration.silenceLimit.wholeMilliseconds,
            answerLimit: configuration.answerLimit.wholeMilliseconds
        )
    }

    var isReady: Bool { machine.isReady }

    func start() {
        switch machine.started() {
        case .connect:
            let (tls, timeout) = (configuration.endpoint.tls, configuration.connectTimeout)
            connector = Connector.connect(to: server, tls: tls, on: loop, timeout: timeout) { [self] in
                connector = nil
                connectEnded($0)
            }
        }
    }

    /// Sends `count` commands in one write; `completion` gets their replies, or the error that ended the connection first.
    func send(_ bytes: [UInt8], count: Int, _ completion: @escaping CommandQueue.Completion) {
        guard machine.isReady, let connection else {
            completion(.failure(.away(nil)))
            return
        }
        queue.sent(count, completion)
        write(bytes, to: connection)
    }

    /// Ends the connection; `closed` follows unless it came before.
    func close(_ error: NotifierError) {
        switch machine.closed() {
        case .close: release(error)
        case .ignore: break
        }
    }

    // MARK: Opening

    private func connectEnded(_ result: Result<Connection, ReactorError>) {
        switch result {
        case .failure(let error):
            close(NotifierError(.away, "no connection to Redis at \(server): \(error.message)", underlying: error))
        case .success(let connection):
            guard let reader = RESPReader() else {
                connection.close()
                close(NotifierError(.away, "no memory for a connection to Redis"))
                return
            }
            self.reader = reader
            self.connection = connection
            // Every caller took its bytes from the budget first; the rest is for our own greeting and PINGs.
            connection.pendingLimit = configuration.queueLimit + 64 * 1024
            connection.start(self)
            switch machine.connected(at: loop.milliseconds) {
            case .greet(let delay):
                write(greeting.bytes, to: connection)
                check(after: delay)
            }
        }
    }

    private func write(_ bytes: [UInt8], to connection: Connection) {
        switch connection.write(bytes) {
        case .sent, .pending: break
        // `connectionClosed` follows and says why.
        case .closed: break
        case .refused: close(NotifierError(.away, "Redis doesn't take what is sent to it"))
        }
    }

    // MARK: Liveness

    private func check(after milliseconds: UInt64) {
        timer?.cancel()
        timer = loop.after(.milliseconds(Int64(milliseconds))) { [weak self, loop] in
            // Deferred past this turn's reads: when it was our loop that stood still, the answer is already there.
            loop.defer { self?.checkDue() }
        }
    }

    private func checkDue() {
        switch machine.checkDue(at: loop.milliseconds) {
        case .check(let delay):
            check(after: delay)
        case .ping(let delay):
            sendPing()
            check(after: delay)
        case .fail(let error):
            release(error)
        case .ignore:
            break
        }
    }

    private func sendPing() {
        guard let connection else { return }
        switch purpose {
        case .commands: queue.sent(1, nil)
        case .subscription: break
        }
        write(RESPCommand.encode("PING"), to: connection)
    }

    // MARK: What arrives

    func connection(_ connection: Connection, received bytes: Span<UInt8>) {
        guard let reader else { return }
        machine.heard(at: loop.milliseconds)
        do throws(RESPFault) {
            try reader.read(
                bytes,
                // What comes before the last channel is confirmed is inside the gap that `opened` reports.
                message: { channel, payload in if machine.isReady { events?.message(channel, payload) } },
                reply: { received($0) }
            )
        } catch {
            close(.fault(error))
        }
        events?.readEnded()
    }

    private func received(_ reply: RESPValue) {
        switch machine.replied(reply, at: loop.milliseconds) {
        case .ignore: break
        case .learn: events?.nodes(ClusterNodes.all(in: reply, said: server))
        case .opened(let delay):
            check(after: delay)
            events?.opened()
        case .deliver: deliver(reply)
        case .fail(let error): release(error)
        }
        if case .error(let text) = reply, let owner = ClusterNodes.owner(in: text, said: server) { events?.moved(owner) }
    }

    private func deliver(_ reply: RESPValue) {
        switch purpose {
        case .commands:
            guard queue.answered(reply) else {
                close(NotifierError(.protocolViolated, "Redis answered a command that nobody sent"))
                return
            }
        case .subscription:
            // A PING's `pong`; as a sign of life it has done its work. An UNSUBSCRIBE or an error can only come from an administrator.
            break
        }
    }

    func connectionReachedEnd(_ connection: Connection) {
        close(NotifierError(.away, "Redis closed the connection"))
    }

    func connectionDrained(_ connection: Connection) {}

    func connectionClosed(_ connection: Connection, _ reason: CloseReason) {
        switch reason {
        case .local: close(NotifierError(.away, "the connection to Redis was closed"))
        case .reset: close(NotifierError(.away, "Redis reset the connection"))
        case .failed(let error): close(NotifierError(.away, "the connection to Redis failed: \(error.message)", underlying: error))
        }
    }

    // MARK: The end

    /// After the machine said so, once.
    private func release(_ error: NotifierError) {
        timer?.cancel()
        timer = nil
        connector?.cancel()
        connector = nil
        connection?.close()
        connection = nil
        reader = nil
        queue.fail(error)
        let closed = events?.closed
        events = nil
        loop.defer { closed?(error) }
    }
}
