// Keyvane
// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOHTTP1

/// Reads the answer of a server that refused the upgrade, and closes. Confined to its channel's event loop.
final class RefusalHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart

    private static let bodyLimit = 64 * 1_024

    /// The refusal once it is read; it fails where the connection ends before.
    var refusal: EventLoopFuture<ClientError> { promise.futureResult }

    private let promise: EventLoopPromise<ClientError>
    private var head: HTTPResponseHead?
    private var body = ByteBuffer()

    init(eventLoop: any EventLoop) {
        promise = eventLoop.makePromise()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            self.head = head
        case .body(var part):
            body.writeBuffer(&part)
            // The status says enough; the rest of an explanation as long as this is not waited for.
            if body.readableBytes > Self.bodyLimit { finish(context) }
        case .end:
            finish(context)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        promise.fail(error)
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        promise.fail(ChannelError.inputClosed)
        context.fireChannelInactive()
    }

    private func finish(_ context: ChannelHandlerContext) {
        if let head {
            promise.succeed(ProblemDetails.error(status: Int(head.status.code), headers: head.headers, body: body))
        }
        context.close(promise: nil)
    }
}
