// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor
import Wire

/// Asks one sentinel where its master is, on a connection of its own. Confined to its loop; ends with exactly one call of `done`, never inside
/// `start`, or with none after `cancel`.
final class SentinelQuery {
    private let configuration: NotifierConfiguration
    private let sentinel: Endpoint
    private let master: String
    private let loop: Loop
    private var done: ((Result<Endpoint, NotifierError>) -> Void)?
    private var connection: RedisConnection?

    init(
        _ configuration: NotifierConfiguration,
        of sentinel: Endpoint,
        master: String,
        on loop: Loop,
        done: @escaping (Result<Endpoint, NotifierError>) -> Void
    ) {
        self.configuration = configuration
        self.sentinel = sentinel
        self.master = master
        self.loop = loop
        self.done = done
    }

    func start() {
        let connection = RedisConnection(
            configuration,
            to: sentinel,
            greeting: .sentinel(configuration),
            purpose: .commands,
            on: loop,
            events: .init(opened: { [weak self] in self?.ask() }, closed: { [weak self] in self?.finish(.failure($0)) })
        )
        self.connection = connection
        connection.start()
    }

    func cancel() {
        done = nil
        connection?.close(NotifierError(.away, "the question to the sentinel was given up"))
        connection = nil
    }

    private func ask() {
        connection?.send(RESPCommand.encode("SENTINEL", "GET-MASTER-ADDR-BY-NAME", master), count: 1) { [weak self] result in
            guard let self else { return }
            let answer = result.flatMap { self.address(in: $0[0]) }
            // Not here, inside the connection's own work: the question's end closes the connection.
            loop.defer { self.finish(answer) }
        }
    }

    private func address(in reply: RESPValue) -> Result<Endpoint, NotifierError> {
        switch reply {
        case .array(let parts):
            guard parts.count == 2, let host = parts[0].string, !host.isEmpty, let port = parts[1].string.flatMap(UInt16.init) else {
                return .failure(NotifierError(.protocolViolated, "it answered with something else than an address"))
            }
            return .success(Endpoint(host: host, port: port))
        case .null:
            return .failure(NotifierError(.refused, "it knows no master '\(master)': check the name in the Redis URL"))
        case .error(let text):
            return .failure(.reply(text, to: "SENTINEL"))
        case .simple, .integer, .bulk:
            return .failure(NotifierError(.protocolViolated, "it answered with something else than an address"))
        }
    }

    private func finish(_ result: Result<Endpoint, NotifierError>) {
        guard let done else { return }
        cancel()
        done(result.mapError { NotifierError($0.code, "the sentinel at \(sentinel): \($0.message)", underlying: $0) })
    }
}
