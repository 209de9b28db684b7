// Keyvane
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import Reactor

/// `keyvane bench fanout`: many watching sockets, one source of changes.
struct FanoutCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fanout",
        abstract: "Open sockets on 127.0.0.1, publish changes, and count what arrives.",
        discussion: """
            Orders come on standard input, a line each, and are answered by a line of JSON each:

              open COUNT                           sockets in all, spread over the channels
              closed IN_FLIGHT SECONDS             so many changes under way on each channel
              lockstep IN_FLIGHT SECONDS           the same, each counted until the last socket has it
              paced RATE SECONDS                   so many changes a second, whatever becomes of them
              failover PID PORT,PORT TARGET        kill the process, reconnect, see a change arrive everywhere

            In the target, the header fields and the first message, {channel} stands for the socket's channel: 0, 1, 2, …

              keyvane bench fanout --port 8091 --target '/v1/watch?environment=a/b/e{channel}' --ready '"type":"snapshot"' --source store
            """
    )

    @Option(help: "Port that is watched.") var port: UInt16
    @Option(help: "Target of the upgrade request.") var target: String
    @Option(help: "A header field of that request: NAME: VALUE. Repeatable.") var header: [String] = []
    @Option(help: "A message sent after the upgrade.") var first: String?
    @Option(help: "Text in a server's first bytes that says: subscribed.") var ready = "\r\n\r\n"
    @Option(help: "Channels that the sockets are spread over.") var channels = 1
    @Option(help: "Where changes come from: store (each committed), feed (rows by the block), websocket, http or nats.")
    var source: ChangeSource
    @Option(help: "Port that changes are sent to, where that is another one.") var sourcePort: UInt16?
    @Option(help: "Bytes of a value or message.") var bytes = 200
    @OptionGroup var database: DatabaseOptions

    enum ChangeSource: String, ExpressibleByArgument {
        case store
        case feed
        case websocket
        case http
        case nats
    }

    func validate() throws {
        guard channels > 0 else { throw ValidationError("--channels takes a number above 0") }
        guard bytes > Marker.length else { throw ValidationError("--bytes takes more than \(Marker.length)") }
    }

    func run() async throws {
        try await LoopGroup.withLoops(count: 1, name: "fleet") { loops in
            switch source {
            case .store:
                try await BenchBackends.withBackends(try database.settings(), channels: channels) { backends in
                    let publisher = CommitPublisher(backends, bytes: bytes)
                    try await serve(on: loops.loops[0], while: { await publisher.run() }) { _ in publisher }
                }
            case .feed:
                try await BenchBackends.withBackends(try database.settings(), channels: channels) { backends in
                    let rows = try ChangeRows(backends, bytes: bytes)
                    let (channels, port) = (channels, backends.redisPort)
                    try await serve(on: loops.loops[0]) { FeedPublisher(rows, channels: channels, redisPort: port, on: $0) }
                }
            case .websocket: try await serve(with: .webSocket, on: loops.loops[0])
            case .http: try await serve(with: .http, on: loops.loops[0])
            case .nats: try await serve(with: .nats, on: loops.loops[0])
            }
        }
    }

    private func serve(with form: WireForm, on loop: Loop) async throws {
        let (port, bytes) = (sourcePort ?? port, bytes)
        try await serve(on: loop) { loop in WirePublisher(form, port: port, bytes: bytes, on: loop) }
    }

    /// The same beside the publisher's own work, which ends with it.
    private func serve(
        on loop: Loop,
        while work: @escaping @Sendable () async -> Void,
        _ publisher: @escaping @Sendable (Loop) -> any LoadPublisher
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await work() }
            try await serve(on: loop, publisher)
            group.cancelAll()
        }
    }

    /// Carries out one order after the other.
    private func serve(on loop: Loop, _ publisher: @escaping @Sendable (Loop) -> any LoadPublisher) async throws {
        let request = FleetRequest(port: port, target: target, fields: header, first: first, ready: ready)
        let channels = channels
        let (lines, received) = AsyncStream.makeStream(of: String.self)
        let bench = try await loop.run {
            let bench = FanoutBench(fleet: SocketFleet(request, channels: channels, on: loop), publisher: publisher(loop), on: loop)
            bench.orders = try OrderReader(on: loop) { line in
                if let line { received.yield(line) } else { received.finish() }
            }
            return LoopBound(bench, loop: loop)
        }
        for await line in lines {
            let order = try FanoutOrder(parsing: line)
            let report = await withCheckedContinuation { continuation in
                loop.post { bench.value.perform(order) { continuation.resume(returning: $0) } }
            }
            Terminal.line(String(decoding: try JSONEncoder().encode(report), as: UTF8.self))
        }
        try await loop.run { bench.value.close() }
    }
}
