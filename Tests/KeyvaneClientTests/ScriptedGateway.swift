// Keyvane
// SPDX-License-Identifier: Apache-2.0

import KeyvaneClient
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import NIOWebSocket
import Synchronization
import Testing

/// A real server on port 0 that follows a script: WebSockets on `/v1/watch`, one call of the script each, and canned answers to everything else.
final class ScriptedGateway: Sendable {
    /// What a client sent in front of a body.
    struct Call: Sendable {
        let head: HTTPRequestHead
        let body: String
    }

    struct Answer: Sendable {
        var status: HTTPResponseStatus = .ok
        var headers: HTTPHeaders = [:]
        var body = ""
    }

    /// What plain calls are answered with. A type of its own, so that a trailing closure is never taken for it.
    struct Answers: Sendable {
        static let none = Answers { _ in Answer(status: .notFound) }

        let answer: @Sendable (Call) -> Answer

        init(_ answer: @escaping @Sendable (Call) -> Answer) {
            self.answer = answer
        }
    }

    typealias Script = @Sendable (_ connection: Int, _ socket: inout ScriptedSocket) async throws -> Void

    private enum Accepted: Sendable {
        case socket(NIOAsyncChannel<WebSocketFrame, WebSocketFrame>, HTTPRequestHead)
        case http(NIOAsyncChannel<HTTPServerRequestPart, HTTPPart<HTTPResponseHead, ByteBuffer>>)

        static func http(on channel: any Channel) throws -> Accepted {
            try channel.pipeline.syncOperations.addHandler(HTTPByteBufferResponsePartHandler())
            return .http(try NIOAsyncChannel(wrappingChannelSynchronously: channel))
        }
    }

    let port: Int
    private let connections = Atomic<Int>(0)
    private let recorded = Mutex<[Call]>([])
    private let refusals: Mutex<[Answer]>

    /// All plain calls and upgrades so far.
    var calls: [Call] { recorded.withLock { $0 } }

    private init(port: Int, refusals: [Answer]) {
        self.port = port
        self.refusals = Mutex(refusals)
    }

    func client(_ change: (inout ClientSettings) -> Void = { _ in }) throws -> ConfigurationClient {
        var settings = ClientSettings(url: "http://127.0.0.1:\(port)", token: "kv_test")
        settings.watch.initialBackoff = .milliseconds(2)
        settings.watch.maximumBackoff = .milliseconds(20)
        change(&settings)
        return try ConfigurationClient(settings)
    }

    /// Runs the server while the body runs.
    ///
    /// - Parameters:
    ///   - refusals: The first connections get these answers instead of a socket.
    ///   - holdsBackUpgrade: The 101 leaves in one segment with the first frame.
    static func run(
        tls: TLSConfiguration? = nil,
        refusals: [Answer] = [],
        holdsBackUpgrade: Bool = false,
        http: Answers = .none,
        script: @escaping Script = { _, _ in },
        _ body: @Sendable (ScriptedGateway) async throws -> Void
    ) async throws {
        let context = try tls.map { try NIOSSLContext(configuration: $0) }
        let connections = Atomic<Int>(0)
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .bind(host: "127.0.0.1", port: 0) { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let context { try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: context)) }
                    if holdsBackUpgrade { try channel.pipeline.syncOperations.addHandler(HoldUntilFirstFrame()) }
                    if connections.wrappingAdd(1, ordering: .relaxed).oldValue < refusals.count {
                        try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                        return channel.eventLoop.makeSucceededFuture(try Accepted.http(on: channel))
                    }
                    let upgrader = NIOTypedWebSocketServerUpgrader<Accepted>(
                        shouldUpgrade: { channel, _ in
                            channel.eventLoop.makeSucceededFuture(["Sec-WebSocket-Protocol": "keyvane.v1"])
                        },
                        upgradePipelineHandler: { channel, head in
                            channel.eventLoop.makeCompletedFuture {
                                .socket(try NIOAsyncChannel(wrappingChannelSynchronously: channel), head)
                            }
                        }
                    )
                    return try channel.pipeline.syncOperations.configureUpgradableHTTPServerPipeline(
                        configuration: .init(
                            upgradeConfiguration: .init(upgraders: [upgrader]) { channel in
                                channel.eventLoop.makeCompletedFuture { try Accepted.http(on: channel) }
                            }
                        )
                    )
                }
            }
        let gateway = ScriptedGateway(port: listener.channel.localAddress?.port ?? 0, refusals: refusals)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try await listener.executeThenClose { inbound in
                    try await withThrowingDiscardingTaskGroup { connections in
                        for try await accepted in inbound {
                            connections.addTask { await gateway.serve(accepted, http: http, script: script) }
                        }
                    }
                }
            }
            defer { group.cancelAll() }
            try await body(gateway)
        }
    }

    private func serve(
        _ accepted: EventLoopFuture<Accepted>,
        http: Answers,
        script: @escaping Script
    ) async {
        // Connections that come to nothing, as those of probes and of clients that hang up, are no failure of a test.
        guard let accepted = try? await accepted.get() else { return }
        do {
            switch accepted {
            case .socket(let channel, let head):
                recorded.withLock { $0.append(Call(head: head, body: "")) }
                let connection = connections.wrappingAdd(1, ordering: .relaxed).oldValue
                try await channel.executeThenClose { inbound, outbound in
                    var socket = ScriptedSocket(inbound: inbound, outbound: outbound)
                    do {
                        try await script(connection, &socket)
                    } catch  where !(error is CancellationError) && !(error is ScriptedSocket.Closed) && !Task.isCancelled {
                        Issue.record(error, "the script of connection \(connection) failed")
                    }
                }
            case .http(let channel):
                try await channel.executeThenClose { inbound, outbound in
                    var head: HTTPRequestHead?
                    var body = ByteBuffer()
                    for try await part in inbound {
                        switch part {
                        case .head(let received): head = received
                        case .body(var received): body.writeBuffer(&received)
                        case .end:
                            guard let received = head else { return }
                            let call = Call(head: received, body: String(buffer: body))
                            body.clear()
                            recorded.withLock { $0.append(call) }
                            let answer = received.uri == "/v1/watch" ? nextRefusal() : http.answer(call)
                            try await Self.write(answer, to: outbound)
                        }
                    }
                }
            }
        } catch {
            // The client has hung up, or the test is over.
        }
    }

    private func nextRefusal() -> Answer {
        refusals.withLock { $0.isEmpty ? Answer(status: .internalServerError) : $0.removeFirst() }
    }

    private static func write(
        _ answer: Answer,
        to outbound: NIOAsyncChannelOutboundWriter<HTTPPart<HTTPResponseHead, ByteBuffer>>
    ) async throws {
        var headers = answer.headers
        headers.add(name: "content-length", value: String(answer.body.utf8.count))
        try await outbound.write(.head(HTTPResponseHead(version: .http1_1, status: answer.status, headers: headers)))
        try await outbound.write(.body(ByteBuffer(string: answer.body)))
        try await outbound.write(.end(nil))
    }
}

/// Keeps the answer to the upgrade until the first WebSocket frame goes out.
private final class HoldUntilFirstFrame: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private var held: ByteBuffer? = ByteBuffer()

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard var held else {
            context.write(data, promise: promise)
            return
        }
        var part = unwrapOutboundIn(data)
        let isFrame = part.getInteger(at: part.readerIndex, as: UInt8.self) == 0x81
        held.writeBuffer(&part)
        if isFrame {
            self.held = nil
            context.write(wrapOutboundOut(held), promise: promise)
        } else {
            self.held = held
            promise?.succeed()
        }
    }
}

/// Lets an async channel write plain buffers as bodies.
private final class HTTPByteBufferResponsePartHandler: ChannelOutboundHandler {
    typealias OutboundIn = HTTPPart<HTTPResponseHead, ByteBuffer>
    typealias OutboundOut = HTTPServerResponsePart

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch unwrapOutboundIn(data) {
        case .head(let head): context.write(wrapOutboundOut(.head(head)), promise: promise)
        case .body(let body): context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: promise)
        case .end(let trailers): context.write(wrapOutboundOut(.end(trailers)), promise: promise)
        }
    }
}
