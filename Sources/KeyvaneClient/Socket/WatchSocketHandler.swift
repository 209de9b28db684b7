// Keyvane
// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOWebSocket

/// Frames on one side, events and messages on the other: answers pings, keeps to the closing handshake, refuses what a server
/// may not send. Confined to its channel's event loop.
final class WatchSocketHandler: ChannelDuplexHandler {
    typealias InboundIn = WebSocketFrame
    typealias OutboundIn = WatchSocket.Outbound
    typealias OutboundOut = WebSocketFrame

    /// How long the peer may take to answer a close.
    private static let closeTimeout = TimeAmount.seconds(1)

    private let report: (WatchSocket.Event) -> Void
    /// Frames that came before the pipeline could be written to; nil from then on.
    private var held: [WebSocketFrame]? = []
    private var hasSentClose = false
    private var hasReportedClosed = false

    init(report: @escaping (WatchSocket.Event) -> Void) {
        self.report = report
    }

    /// Fired when the upgrade is over: NIO's upgrade handler hands the first frames on while it still refuses every write.
    struct Opened: Sendable {}

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is Opened { start(context) } else { context.fireUserInboundEventTriggered(event) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let frame = unwrapInboundIn(data)
        if held != nil { held?.append(frame) } else { read(frame, context) }
    }

    private func start(_ context: ChannelHandlerContext) {
        guard let frames = held.take() else { return }
        report(.opened(context.channel))
        for frame in frames { read(frame, context) }
    }

    private func read(_ frame: WebSocketFrame, _ context: ChannelHandlerContext) {
        // RFC 6455, sections 5.1 and 5.2: a server doesn't mask, and no extension was agreed on.
        guard frame.maskKey == nil, !frame.rsv1, !frame.rsv2, !frame.rsv3 else {
            fail(context, closeCode: 1_002, "The gateway sent a frame that the WebSocket protocol doesn't allow.")
            return
        }
        switch frame.opcode {
        case .text:
            report(.text(frame.data))
        case .ping:
            send(context, WebSocketFrame(fin: true, opcode: .pong, maskKey: .random(), data: frame.data))
        case .pong:
            break
        case .connectionClose:
            closeReceived(context, frame.data)
        default:
            fail(context, closeCode: 1_003, "The gateway sent a message that isn't text.")
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        // Every end follows a beginning, also where the connection was over before it could be used.
        start(context)
        reportClosed(code: nil, reason: "")
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        start(context)
        switch error {
        case NIOWebSocketError.invalidFrameLength, NIOWebSocketFrameAggregator.Error.accumulatedFrameSizeIsTooLarge:
            let message = "The gateway sent a message that is larger than the receive limit of this watch. Raise the limit."
            fail(context, closeCode: 1_009, message, code: WatchCloseCode.tooLarge, underlying: error)
        case is NIOWebSocketError, is NIOWebSocketFrameAggregator.Error:
            fail(context, closeCode: 1_002, "The gateway sent a frame that the WebSocket protocol doesn't allow.", underlying: error)
        default:
            // TCP or TLS: the connection is as good as gone.
            context.close(promise: nil)
        }
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch unwrapOutboundIn(data) {
        case .text(let text):
            let frame = WebSocketFrame(fin: true, opcode: .text, maskKey: .random(), data: text)
            context.write(wrapOutboundOut(frame), promise: promise)
        case .close(let code):
            sendClose(context, code: code)
            promise?.succeed()
        }
    }

    private func closeReceived(_ context: ChannelHandlerContext, _ data: ByteBuffer) {
        var data = data
        let code = data.readInteger(as: UInt16.self).map(Int.init)
        // RFC 6455, section 5.5.1: the answer carries the same code.
        sendClose(context, code: code)
        // Reported now: with TLS it may take seconds until the channel is closed as well.
        reportClosed(code: code, reason: String(buffer: data))
        context.close(promise: nil)
    }

    private func reportClosed(code: Int?, reason: String) {
        guard !hasReportedClosed else { return }
        hasReportedClosed = true
        report(.closed(code: code, reason: reason))
    }

    private func fail(
        _ context: ChannelHandlerContext,
        closeCode: Int,
        _ message: String,
        code: String = "invalid_answer",
        underlying: (any Error)? = nil
    ) {
        sendClose(context, code: closeCode)
        report(.failed(ClientError(code: code, message: message, underlying: underlying)))
        context.close(promise: nil)
    }

    private func sendClose(_ context: ChannelHandlerContext, code: Int?) {
        guard !hasSentClose else { return }
        hasSentClose = true
        var data = context.channel.allocator.buffer(capacity: 2)
        if let code { data.writeInteger(UInt16(clamping: code)) }
        send(context, WebSocketFrame(fin: true, opcode: .connectionClose, maskKey: .random(), data: data))
        // The peer closes the connection after its own close frame; a peer that is dead doesn't.
        let channel = context.channel
        context.eventLoop.scheduleTask(in: Self.closeTimeout) { channel.close(promise: nil) }
    }

    private func send(_ context: ChannelHandlerContext, _ frame: WebSocketFrame) {
        context.writeAndFlush(wrapOutboundOut(frame), promise: nil)
    }
}
