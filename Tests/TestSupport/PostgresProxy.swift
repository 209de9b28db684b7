// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor
import Synchronization

/// Stands between a store and PostgreSQL, and cuts connections at the worst moment: the transaction is committed, its answer is lost.
package final class PostgresProxy: Sendable {
    private let loop: Loop
    private let socket: ListenSocket
    private let database: PostgresDatabase
    private let answers = Mutex(0)
    private let cuts = Mutex(0)
    private let period = Mutex<Int?>(nil)
    /// Made by `open`.
    private let pairs = Mutex<LoopBound<PairList>?>(nil)

    fileprivate init(to database: PostgresDatabase, on loop: Loop) throws {
        self.database = database
        self.loop = loop
        socket = try ListenSocket.open(Endpoint(host: "127.0.0.1", port: 0))[0]
    }

    package var url: String { "postgresql://postgres@127.0.0.1:\(socket.address.port ?? 0)/\(database.name)" }
    /// Answers lost so far.
    package var lost: Int { cuts.withLock { $0 } }

    /// From now on every `period`th answer is lost with its connection; nil for none.
    package func loseEvery(_ period: Int?) {
        self.period.withLock { $0 = period }
    }

    /// Cuts every connection as it is, whatever is under way on it. The server learns of it when it next looks.
    package func cut() async throws {
        try await loop.run { [self] in
            guard let pairs = pairs.withLock({ $0 })?.value else { return }
            for pair in pairs.all { pair.close() }
            pairs.all = []
        }
    }

    fileprivate func open() async throws -> LoopBound<Listener> {
        try await loop.run { [self] in
            let upstream = try Endpoint(parsing: "unix:\(database.server.socketPath)")
            let list = PairList()
            pairs.withLock { $0 = LoopBound(list, loop: loop) }
            let listener = try Listener(socket, on: loop) { [self] client in
                let pair = PostgresProxyPair(client) { [self] in loses($0) }
                list.all.append(pair)
                pair.connect(to: upstream)
            }
            return LoopBound(listener, loop: loop)
        }
    }

    /// Whether these bytes end a transaction with rows, and are to be lost.
    private func loses(_ bytes: [UInt8]) -> Bool {
        // ReadyForQuery, idle: PostgreSQL has committed; and the tag of a SELECT that came with it.
        guard bytes.count >= 6, bytes[(bytes.count - 6)...] == [0x5A, 0, 0, 0, 5, 0x49], bytes.contains(sequence: "SELECT ") else {
            return false
        }
        guard let period = period.withLock({ $0 }) else { return false }
        let count = answers.withLock { answers in
            answers += 1
            return answers
        }
        guard count % period == 0 else { return false }
        cuts.withLock { $0 += 1 }
        return true
    }
}

/// Confined to the proxy's loop.
private final class PairList {
    var all: [PostgresProxyPair] = []
}

/// Runs `body` with a proxy in front of the database.
package func withPostgresProxy<Value>(
    to database: PostgresDatabase,
    isolation: isolated (any Actor)? = #isolation,
    _ body: (PostgresProxy) async throws -> Value
) async throws -> Value {
    try await LoopGroup.withLoops(count: 1, name: "postgres-proxy") { group in
        let proxy = try PostgresProxy(to: database, on: group.loops[0])
        // Its connections end with the loop.
        let listener = try await proxy.open()
        let value = try await body(proxy)
        try await listener.loop.run { listener.value.close() }
        return value
    }
}

/// One client and its connection to PostgreSQL; confined to its loop.
private final class PostgresProxyPair: ConnectionHandler {
    private let client: Connection
    private let loses: ([UInt8]) -> Bool
    private var server: Connection?
    private var waiting: [UInt8] = []
    private var isClosed = false

    init(_ client: Connection, loses: @escaping ([UInt8]) -> Bool) {
        self.client = client
        self.loses = loses
        client.pendingLimit = 64 << 20
    }

    func connect(to endpoint: Endpoint) {
        client.start(self)
        Connector.connect(to: endpoint, on: client.loop, timeout: .seconds(5)) { [self] result in
            guard !isClosed, case .success(let server) = result else {
                if case .success(let server) = result { server.close() }
                close()
                return
            }
            self.server = server
            server.pendingLimit = 64 << 20
            server.start(self)
            server.write(waiting)
            waiting = []
        }
    }

    func close() {
        guard !isClosed else { return }
        isClosed = true
        client.close()
        server?.close()
    }

    func connection(_ connection: Connection, received bytes: Span<UInt8>) {
        guard !isClosed else { return }
        let bytes = bytes.withUnsafeBufferPointer { [UInt8]($0) }
        if connection === client {
            if let server { server.write(bytes) } else { waiting += bytes }
        } else if loses(bytes) {
            close()
        } else {
            client.write(bytes)
        }
    }

    func connectionReachedEnd(_ connection: Connection) { close() }
    func connectionDrained(_ connection: Connection) {}
    func connectionClosed(_ connection: Connection, _ reason: CloseReason) { close() }
}

extension [UInt8] {
    fileprivate func contains(sequence text: String) -> Bool {
        let wanted = Array(text.utf8)
        return count >= wanted.count && (0...(count - wanted.count)).contains { self[$0..<($0 + wanted.count)].elementsEqual(wanted) }
    }
}
