// Keyvane
// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOSSL
import Synchronization

/// Carries out what the state machine decides: connects, sends, waits, hands events to the buffer. All state is confined to
/// one event loop; the public methods may be called from anywhere.
final class WatchSession: Sendable {
    private struct State {
        var machine: WatchStateMachine
        /// Counts connections. What an older one still reports is no longer of interest.
        var generation = 0
        var channel: (any Channel)?
        var tls: NIOSSLContext?
        var timer: Scheduled<Void>?
    }

    private let settings: ClientSettings
    private let address: ServerAddress
    private let eventLoop: any EventLoop
    private let buffer: WatchBuffer
    private let epoch = NIODeadline.now()
    private let isStarted = Atomic<Bool>(false)
    private let state: NIOLoopBoundBox<State>

    init(settings: ClientSettings, address: ServerAddress, subscription: WatchSubscription, eventLoop: any EventLoop) {
        self.settings = settings
        self.address = address
        self.eventLoop = eventLoop
        buffer = WatchBuffer(limit: settings.watch.bufferLimit, hardLimit: settings.watch.receiveLimit)
        state = .makeBoxSendingValue(
            State(machine: WatchStateMachine(subscription, settings: settings.watch)),
            eventLoop: eventLoop
        )
    }

    // MARK: - The consumer's side

    func next() async -> WatchBuffer.Next {
        if !isStarted.exchange(true, ordering: .relaxed) {
            eventLoop.execute { self.perform(self.state.value.machine.started()) }
        }
        return await withTaskCancellationHandler {
            await buffer.next()
        } onCancel: {
            stop()
        }
    }

    func stop() {
        buffer.cancel()
        eventLoop.execute { self.stopOnLoop() }
    }

    func acknowledge(_ revision: Int, as status: AcknowledgementStatus) {
        eventLoop.execute { self.perform(self.state.value.machine.acknowledged(revision: revision, status: status)) }
    }

    func flush() async {
        // A turn of its own, after those of the writes; the loop lives as long as the process.
        try? await eventLoop.submit {}.get()
    }

    // MARK: - On the event loop

    private var now: Duration { Duration(NIODeadline.now() - epoch) }

    private func stopOnLoop() {
        state.value.machine.stopped()
        dropConnection(code: 1_000)
    }

    private func perform(_ action: WatchStateMachine.Action) {
        switch action {
        case .none:
            break
        case .connect:
            connect()
        case .send(let message):
            send(message)
        case .deliver(let event, let message):
            if let message { send(message) }
            if !buffer.append(event) { perform(state.value.machine.overflowed()) }
        case .checkSilence(let delay):
            schedule(after: delay) { $0.silenceChecked() }
        case .reconnect(let interruption):
            dropConnection(code: 1_000)
            let isComplete = buffer.append(.disconnected(interruption))
            if !isComplete { perform(state.value.machine.overflowed()) }
            schedule(after: interruption.retryAfter) { $0.perform($0.state.value.machine.delayElapsed()) }
        case .finish(let error):
            state.value.machine.stopped()
            dropConnection(code: 1_000)
            buffer.finish(error)
        }
    }

    private func connect() {
        do {
            if address.isSecure, state.value.tls == nil { state.value.tls = try makeTLS() }
        } catch {
            let message = "The TLS settings can't be used. Check the certificate files that they name."
            perform(.finish(ClientError(code: "invalid_tls", message: message, underlying: error)))
            return
        }
        state.value.generation += 1
        let generation = state.value.generation
        WatchSocket.open(address, settings: settings, tls: state.value.tls, on: eventLoop) { event in
            self.socketReported(event, generation: generation)
        }
    }

    /// Made once: reading the system's trust roots takes longer than many a handshake.
    private func makeTLS() throws -> NIOSSLContext {
        var configuration = settings.tls ?? .makeClientConfiguration()
        // A WebSocket over HTTP/2 would need another handshake (RFC 8441).
        configuration.applicationProtocols = ["http/1.1"]
        return try NIOSSLContext(configuration: configuration)
    }

    private func socketReported(_ event: WatchSocket.Event, generation: Int) {
        guard generation == state.value.generation else {
            // Stopped while the connection was being made: nobody else knows of this channel.
            if case .opened(let channel) = event { channel.close(promise: nil) }
            return
        }
        let jitter = Double.random(in: 0..<1)
        switch event {
        case .refused(let error):
            perform(state.value.machine.connectFailed(error, jitter: jitter))
        case .opened(let channel):
            state.value.channel = channel
            perform(state.value.machine.connected(at: now))
            silenceChecked()
        case .heard:
            state.value.machine.heard(at: now)
        case .text(let json):
            messageReceived(json, jitter: jitter)
        case .failed(let error):
            perform(state.value.machine.unreadable(error, jitter: jitter))
        case .closed(let code, let reason):
            state.value.channel = nil
            perform(state.value.machine.closed(code: code, reason: reason, at: now, jitter: jitter))
        }
    }

    private func messageReceived(_ json: ByteBuffer, jitter: Double) {
        do {
            perform(state.value.machine.received(try ServerMessage(json: json), jitter: jitter))
        } catch {
            let failure = ClientError(
                code: "invalid_answer",
                message: "A message of the gateway isn't what this client understands. Check that their versions fit.",
                underlying: error
            )
            perform(state.value.machine.unreadable(failure, jitter: jitter))
        }
    }

    private func silenceChecked() {
        perform(state.value.machine.silenceChecked(at: now, jitter: .random(in: 0..<1)))
    }

    private func send(_ message: ClientMessage) {
        guard let channel = state.value.channel else { return }
        do {
            // A write that fails is followed by the connection's end.
            channel.writeAndFlush(WatchSocket.Outbound.text(try message.json()), promise: nil)
        } catch {
            preconditionFailure("a message has no JSON form: \(error)")
        }
    }

    private func dropConnection(code: Int) {
        state.value.timer.take()?.cancel()
        state.value.generation += 1
        guard let channel = state.value.channel.take() else { return }
        channel.writeAndFlush(WatchSocket.Outbound.close(code: code), promise: nil)
    }

    /// One timer is enough: while a connection is open it watches for silence, and in between it waits to reconnect.
    private func schedule(after delay: Duration, _ body: @escaping @Sendable (WatchSession) -> Void) {
        state.value.timer?.cancel()
        // The session is kept until the timer has fired or was cancelled: `stop` cancels it.
        state.value.timer = eventLoop.scheduleTask(in: TimeAmount(delay)) { body(self) }
    }
}
