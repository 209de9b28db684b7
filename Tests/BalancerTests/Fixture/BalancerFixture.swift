// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Logging
import Reactor
import Synchronization
import TestSupport

/// A running balancer with scripted servers behind it, ended however the test ends.
struct BalancerFixture: Sendable {
    let service: BalancerService
    let addresses: BalancerService.Addresses
    let outer: LoopGroup
    let backends: [TestBackend]
    let log: LogLines

    /// `pools` names the pool of each backend; a backend that isn't started (`dead`) has a port that refuses.
    static func with(
        _ pools: [(pool: String, name: String)] = [("web", "web-1")],
        loops: Int = 1,
        answersEarly: Bool = false,
        tls: TLSServerIdentity? = nil,
        dead: Set<String> = [],
        configure: @Sendable (inout BalancerConfiguration) throws -> Void = { _ in },
        script: @escaping @Sendable (String, BackendRequest) -> BackendAction = { name, _ in .ok(name) },
        writeAccessLine: (@Sendable ([UInt8]) -> Void)? = nil,
        _ body: @Sendable (BalancerFixture) async throws -> Void
    ) async throws {
        try await LoopGroup.withLoops(count: 1, name: "outer") { outer in
            var backends: [TestBackend] = []
            var configurations: [PoolConfiguration] = []
            for (pool, name) in pools {
                let backend = TestBackend(name, on: outer.loops[0], answersEarly: answersEarly, tls: tls) { script(name, $0) }
                try await backend.start()
                if dead.contains(name) { try await backend.kill() }
                backends.append(backend)
                let server = ServerConfiguration(name: name, address: try await backend.endpoint)
                if let index = configurations.firstIndex(where: { $0.name == pool }) {
                    configurations[index].servers.append(server)
                } else {
                    configurations.append(PoolConfiguration(name: pool, servers: [server]))
                }
            }
            var configuration = BalancerConfiguration(listeners: [Endpoint(host: "127.0.0.1", port: 0)], pools: configurations)
            configuration.admin = AdminConfiguration(bind: Endpoint(host: "127.0.0.1", port: 0))
            Self.patient(&configuration)
            for index in configuration.pools.indices where configuration.pools[index].servers.contains(where: { dead.contains($0.name) }) {
                // What a request finds out is what these tests are about: the checks must not be quicker.
                configuration.pools[index].health.fall = 1000
                configuration.pools[index].passive.maxFails = 1000
            }
            try configure(&configuration)
            try await run(configuration, loops: loops, outer: outer, backends: backends, writeAccessLine: writeAccessLine, body)
            // Whatever a client sends, a server must be able to read what comes of it.
            for backend in backends where !backend.faults.all.isEmpty { throw DeadlinePassed("\(backend.name) read \(backend.faults.all)") }
        }
    }

    static func run(
        _ configuration: BalancerConfiguration,
        loops: Int = 1,
        outer: LoopGroup,
        backends: [TestBackend],
        writeAccessLine: (@Sendable ([UInt8]) -> Void)? = nil,
        _ body: @Sendable (BalancerFixture) async throws -> Void
    ) async throws {
        _ = RecordedMetrics.shared
        try await LoopGroup.withLoops(count: loops, name: "balancer") { group in
            let log = LogLines()
            let service = try BalancerService(
                configuration: configuration,
                loops: group,
                logger: log.logger,
                writeAccessLine: writeAccessLine
            ) { "# metrics\n" }
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                tasks.addTask { try await service.run() }
                do {
                    let addresses = try await service.listening()
                    try await body(
                        BalancerFixture(service: service, addresses: addresses, outer: outer, backends: backends, log: log)
                    )
                } catch {
                    tasks.cancelAll()
                    while (try? await tasks.next()) != nil {}
                    throw error
                }
                tasks.cancelAll()
                try await tasks.waitForAll()
            }
        }
    }

    /// `first` is sent as soon as it is connected: where a limit runs from the accept on, a test may be held up for longer than that.
    func client(sending first: [UInt8] = []) async throws -> TestClient {
        try await TestClient.connect(to: addresses.listeners[0], on: outer.loops[0], sending: first)
    }

    func client(sending first: String) async throws -> TestClient {
        try await client(sending: Array(first.utf8))
    }

    func admin() async throws -> TestClient {
        guard let address = addresses.admin else { throw DeadlinePassed("an admin listener") }
        return try await TestClient.connect(to: address, on: outer.loops[0])
    }

    /// The states of all servers, as the admin listener tells them.
    func serversDocument() async throws -> String {
        let client = try await admin()
        defer { client.close() }
        return try await client.request("GET /v1/servers HTTP/1.1\r\nHost: localhost\r\n\r\n").text
    }

    func untilServer(_ name: String, is state: String) async throws {
        _ = try await eventually("\(name) to be \(state)") {
            let document = try await serversDocument()
            let item = document.split(separator: "{").first { $0.contains("\"name\":\"\(name)\"") }
            return item?.contains("\"state\":\"\(state)\"") == true ? true : nil
        }
    }
}

/// Log lines as texts, for looking at.
final class LogLines: Sendable {
    private let lines = Mutex<[(level: Logger.Level, text: String)]>([])

    var all: [String] { lines.withLock { $0.map(\.text) } }

    func all(at level: Logger.Level) -> [String] {
        lines.withLock { $0.filter { $0.level == level }.map(\.text) }
    }

    var logger: Logger {
        var logger = Logger(label: "test") { [self] _ in Handler(lines: self) }
        logger.logLevel = .trace
        return logger
    }

    private struct Handler: LogHandler {
        let lines: LogLines
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace

        subscript(metadataKey key: String) -> Logger.MetadataValue? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let text = (event.metadata ?? [:]).sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: " ")
            lines.lines.withLock { $0.append((event.level, "\(event.message) \(text)")) }
        }
    }
}
