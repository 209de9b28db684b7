// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Testing

/// Attempts, exchanges and tunnels: what follows what.
@Suite struct ExchangeRuleTests {
    @Test func connectsMayFailThreeTimes() {
        var attempts = AttemptStateMachine(isReplayable: false)
        #expect(attempts.connectFailed() == .tryAnotherServer(otherwise: .serverUnreachable))
        #expect(attempts.connectFailed() == .tryAnotherServer(otherwise: .serverUnreachable))
        #expect(attempts.connectFailed() == .refuse(.serverUnreachable))
    }

    @Test func onlyReplayableRequestsAreSentTwice() {
        var post = AttemptStateMachine(isReplayable: false)
        #expect(post.connectionDied(isReused: true) == .tryNewConnection(otherwise: .serverFailed))
        post.openingSent()
        #expect(post.connectionDied(isReused: true) == .refuse(.serverFailed))
        var get = AttemptStateMachine(isReplayable: true)
        get.openingSent()
        #expect(get.connectionDied(isReused: true) == .tryNewConnection(otherwise: .serverFailed))
        get.openingSent()
        // A server that is being killed: its port took us in, then it was gone.
        #expect(get.connectionDied(isReused: false) == .tryAnotherServer(otherwise: .serverFailed))
        get.openingSent()
        #expect(get.connectionDied(isReused: false) == .refuse(.serverFailed))
        var fresh = AttemptStateMachine(isReplayable: true)
        fresh.openingSent()
        #expect(fresh.connectionDied(isReused: false) == .tryAnotherServer(otherwise: .serverFailed))
        fresh.openingSent()
        #expect(fresh.connectionDied(isReused: false) == .refuse(.serverFailed))
        var streaming = AttemptStateMachine(isReplayable: true)
        streaming.openingSent()
        streaming.bodyMovedOn()
        #expect(streaming.connectionDied(isReused: true) == .refuse(.serverFailed))
    }

    @Test func upgradesMoveOnce() {
        var attempts = AttemptStateMachine(isReplayable: true)
        attempts.openingSent()
        #expect(attempts.upgradeRefused() == .tryAnotherServerOrPassOn)
        attempts.openingSent()
        #expect(attempts.upgradeRefused() == .passOn)
    }

    @Test func whatADrainingServerDeclinesMovesOnce() {
        var get = AttemptStateMachine(isReplayable: true)
        get.openingSent()
        #expect(get.drainingAnswered() == .tryAnotherServerOrPassOn)
        get.openingSent()
        #expect(get.drainingAnswered() == .passOn)
        var post = AttemptStateMachine(isReplayable: false)
        post.openingSent()
        #expect(post.drainingAnswered() == .passOn)
        var streaming = AttemptStateMachine(isReplayable: true)
        streaming.openingSent()
        streaming.bodyMovedOn()
        #expect(streaming.drainingAnswered() == .passOn)
    }

    private func responding(persists: Bool = true, complete: Bool = true, status: Int = 200, ends: Bool = false) -> ExchangeStateMachine {
        var machine = ExchangeStateMachine(clientPersists: persists, requestComplete: complete)
        machine.responseBegan(status: status, serverPersists: true, endsWithConnection: ends, expectedContinue: false)
        return machine
    }

    @Test func bothMessagesEnd() {
        var machine = responding()
        #expect(machine.responseCompleted() == .finish(.keepAlive, .reuse))
        #expect(machine.serverEnded(completesBody: false) == .none)
        machine = responding(persists: false)
        #expect(machine.responseCompleted() == .finish(.close, .reuse))
        machine = responding()
        machine.serverWillNotGoOn()
        #expect(machine.responseCompleted() == .finish(.keepAlive, .close))
        // The server answered before it had the whole request: neither connection is of use.
        machine = responding(complete: false)
        #expect(machine.willKeepAlive)
        #expect(machine.responseCompleted() == .finish(.linger, .close))
        machine = responding(complete: false, status: 413)
        #expect(!machine.willKeepAlive)
        machine = responding(complete: false)
        machine.requestCompleted()
        #expect(machine.responseCompleted() == .finish(.keepAlive, .reuse))
    }

    @Test func responsesThatEndWithTheirConnection() {
        var machine = responding(ends: true)
        #expect(!machine.willKeepAlive)
        #expect(machine.serverEnded(completesBody: true) == .finish(.close, .close))
        machine = responding(ends: true)
        #expect(machine.serverEnded(completesBody: false) == .finish(.reset, .close))
        machine = responding()
        #expect(machine.serverEnded(completesBody: false) == .finish(.cut, .close))
        machine = responding()
        #expect(machine.responseFailed() == .finish(.cut, .close))
        machine = responding()
        #expect(machine.clientFailed() == .finish(.reset, .close))
        #expect(machine.clientFailed() == .none)
    }

    @Test func beforeAnyResponseTheAttemptsDecide() {
        var machine = ExchangeStateMachine(clientPersists: true, requestComplete: true)
        #expect(machine.serverEnded(completesBody: false) == .attemptEnded)
        #expect(machine.isAwaitingResponse)
        #expect(machine.answeredLocally() == .finish(.keepAlive, .close))
        machine = ExchangeStateMachine(clientPersists: true, requestComplete: false)
        #expect(machine.answeredLocally() == .finish(.linger, .close))
        machine = ExchangeStateMachine(clientPersists: true, requestComplete: true)
        machine.clientWillNotGoOn()
        #expect(machine.answeredLocally() == .finish(.close, .close))
    }

    @Test func tunnelsEndFromEitherSide() {
        var tunnel = TunnelStateMachine()
        #expect(tunnel.reachedEnd(of: .client) == .finishSending(.server))
        #expect(tunnel.isHalfClosed)
        #expect(tunnel.reachedEnd(of: .server) == .flushAndClose)
        #expect(tunnel.closed(.server) == .none)
        #expect(tunnel.closed(.client) == .release)

        tunnel = TunnelStateMachine()
        #expect(tunnel.closed(.server) == .flushAndClose)
        #expect(tunnel.reachedEnd(of: .client) == .none)
        #expect(tunnel.timedOut() == .closeNow)
        #expect(tunnel.closed(.client) == .release)
        #expect(tunnel.timedOut() == .none)

        tunnel = TunnelStateMachine()
        #expect(tunnel.closeAsked() == .flushAndClose)
        #expect(tunnel.closeAsked() == .none)
        #expect(tunnel.closed(.client) == .none)
        #expect(tunnel.closed(.server) == .release)
    }
}
