// Keyvane
// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import NIOWebSocket

/// Opens the WebSocket of a watch (RFC 6455) and reports what happens on it.
enum WatchSocket {
    /// Reported on the event loop, in order: `refused`, or `opened`, then any number of the others, and `closed` as the last one.
    /// `heard` may come before.
    enum Event: Sendable {
        case refused(ClientError)
        case opened(any Channel)
        /// Bytes arrived.
        case heard
        case text(ByteBuffer)
        case failed(ClientError)
        case closed(code: Int?, reason: String)
    }

    /// What is written to the channel.
    enum Outbound: Sendable {
        case text(ByteBuffer)
        /// Starts the closing handshake.
        case close(code: Int)
    }

    private enum Upgrade: Sendable {
        case done
        case refused(EventLoopFuture<ClientError>)
    }

    static func open(
        _ address: ServerAddress,
        settings: ClientSettings,
        tls: NIOSSLContext?,
        on eventLoop: any EventLoop,
        report: @escaping @Sendable (Event) -> Void
    ) {
        ClientBootstrap(group: eventLoop)
            .connectTimeout(TimeAmount(settings.watch.connectTimeout))
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .connect(host: address.host, port: address.port)
            .flatMap { channel in
                // TCP has its own limit above; this one is for servers that accept and then say nothing.
                let deadline = eventLoop.scheduleTask(in: TimeAmount(settings.watch.connectTimeout)) {
                    channel.pipeline.fireErrorCaught(ChannelError.connectTimeout(TimeAmount(settings.watch.connectTimeout)))
                    channel.close(promise: nil)
                }
                return upgrade(channel, address, settings, tls, report).always { _ in deadline.cancel() }
            }
            .whenComplete { result in
                switch result {
                case .success(.none): break
                case .success(.some(let refusal)): report(.refused(refusal))
                case .failure(let error): report(.refused(failure(error, address)))
                }
            }
    }

    /// Nil where the WebSocket is open, else why the server refused it.
    private static func upgrade(
        _ channel: any Channel,
        _ address: ServerAddress,
        _ settings: ClientSettings,
        _ tls: NIOSSLContext?,
        _ report: @escaping @Sendable (Event) -> Void
    ) -> EventLoopFuture<ClientError?> {
        do {
            let pipeline = channel.pipeline.syncOperations
            if let tls { try pipeline.addHandler(tlsHandler(tls, address)) }
            try pipeline.addHandler(ActivityHandler { report(.heard) })
            let upgrader = NIOTypedWebSocketClientUpgrader<Upgrade>(
                maxFrameSize: min(settings.watch.receiveLimit, Int(UInt32.max)),
                enableAutomaticErrorHandling: false
            ) { channel, _ in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandlers(
                        NIOWebSocketFrameAggregator(
                            minNonFinalFragmentSize: 0,
                            maxAccumulatedFrameCount: .max,
                            maxAccumulatedFrameSize: settings.watch.receiveLimit
                        ),
                        WatchSocketHandler(report: report)
                    )
                    return .done
                }
            }
            var configuration = NIOUpgradableHTTPClientPipelineConfiguration(
                upgradeConfiguration: NIOTypedHTTPClientUpgradeConfiguration(
                    upgradeRequestHead: requestHead(address, settings),
                    upgraders: [upgrader]
                ) { channel in
                    channel.eventLoop.makeCompletedFuture {
                        let handler = RefusalHandler(eventLoop: channel.eventLoop)
                        try channel.pipeline.syncOperations.addHandler(handler)
                        return .refused(handler.refusal)
                    }
                }
            )
            // The gateway's first message may come in one segment with its 101.
            configuration.leftOverBytesStrategy = .forwardBytes
            return try pipeline.configureUpgradableHTTPClientPipeline(configuration: configuration).flatMap { upgrade in
                switch upgrade {
                case .done:
                    // The upgrade handler leaves the pipeline right after it has completed this future.
                    channel.eventLoop.execute { channel.pipeline.fireUserInboundEventTriggered(WatchSocketHandler.Opened()) }
                    return channel.eventLoop.makeSucceededFuture(nil)
                case .refused(let refusal):
                    return refusal.map { $0 }
                }
            }
            .flatMapErrorThrowing { error in
                channel.close(promise: nil)
                throw error
            }
        } catch {
            channel.close(promise: nil)
            return channel.eventLoop.makeFailedFuture(error)
        }
    }

    private static func requestHead(_ address: ServerAddress, _ settings: ClientSettings) -> HTTPRequestHead {
        HTTPRequestHead(
            version: .http1_1,
            method: .GET,
            uri: address.prefix + "/v1/watch",
            headers: [
                "Host": address.authority,
                "Authorization": "Bearer \(settings.token)",
                "Sec-WebSocket-Protocol": "keyvane.v1",
            ]
        )
    }

    private static func tlsHandler(_ context: NIOSSLContext, _ address: ServerAddress) throws -> NIOSSLClientHandler {
        do {
            return try NIOSSLClientHandler(context: context, serverHostname: address.host)
        } catch let error as NIOSSLExtraError where error == .cannotUseIPAddressInSNI {
            // Without a name the certificate is checked against the address that was connected to.
            return try NIOSSLClientHandler(context: context, serverHostname: nil)
        }
    }

    private static func failure(_ error: any Error, _ address: ServerAddress) -> ClientError {
        if let error = error as? ClientError { return error }
        if case .connectTimeout = error as? ChannelError {
            return ClientError(
                code: "timeout",
                message: "\(address.authority) did not answer in time. Check the URL and the service.",
                underlying: error
            )
        }
        return ClientError(
            code: "unreachable",
            message: "\(address.authority) can't be reached. Check the URL and that the service runs.",
            underlying: error
        )
    }
}

/// Tells that bytes arrived, before anybody makes sense of them.
private final class ActivityHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let report: () -> Void

    init(report: @escaping () -> Void) {
        self.report = report
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        report()
        context.fireChannelRead(data)
    }
}
