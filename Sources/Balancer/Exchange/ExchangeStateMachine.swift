// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Where an exchange's two messages are, and what becomes of both connections when they have ended. Owned by an exchange.
package struct ExchangeStateMachine: Sendable {
    package enum ClientFate: Equatable {
        case keepAlive
        /// After what is pending has gone.
        case close
        /// The client is still sending what nobody will read: it must get to see the response before the connection goes.
        case linger
        /// The response is incomplete, and its framing tells the client so.
        case cut
        /// The response is incomplete, and only a reset can tell the client: the end of the connection was to be its end.
        case reset
    }

    package enum ServerFate: Equatable {
        case reuse
        case close
    }

    package enum Action: Equatable {
        case none
        case finish(ClientFate, ServerFate)
        /// No response has begun: the attempts decide.
        case attemptEnded
    }

    private enum State {
        case awaitingResponse
        case responding(serverPersists: Bool)
        case ended
    }

    private var state = State.awaitingResponse
    private(set) var isRequestComplete: Bool
    private var clientPersists: Bool
    private var bodyEndsWithConnection = false

    package init(clientPersists: Bool, requestComplete: Bool) {
        self.clientPersists = clientPersists
        isRequestComplete = requestComplete
    }

    /// What the response's head has to tell the client.
    package var willKeepAlive: Bool { clientPersists }

    package var isAwaitingResponse: Bool {
        if case .awaitingResponse = state { return true }
        return false
    }

    package mutating func requestCompleted() {
        isRequestComplete = true
    }

    /// The client won't send another request: it hung up its side, or we are going away.
    package mutating func clientWillNotGoOn() {
        clientPersists = false
    }

    /// The final head came. A refusal in the middle of a request ends the connection: nobody can say what the client does with the rest.
    /// `endsWithConnection`: towards the client, nothing but the end of the connection ends the body.
    package mutating func responseBegan(status: Int, serverPersists: Bool, endsWithConnection: Bool, expectedContinue: Bool) {
        switch state {
        case .awaitingResponse:
            state = .responding(serverPersists: serverPersists)
            bodyEndsWithConnection = endsWithConnection
            if endsWithConnection || !isRequestComplete && (status >= 300 || expectedContinue) { clientPersists = false }
        case .responding, .ended:
            preconditionFailure("a second final head in \(state)")
        }
    }

    /// Its connection can't be trusted with another exchange.
    package mutating func serverWillNotGoOn() {
        if case .responding = state { state = .responding(serverPersists: false) }
    }

    package mutating func responseCompleted() -> Action {
        switch state {
        case .responding(let serverPersists):
            state = .ended
            guard isRequestComplete else { return .finish(.linger, .close) }
            return .finish(clientPersists ? .keepAlive : .close, serverPersists ? .reuse : .close)
        case .awaitingResponse, .ended:
            preconditionFailure("a response ended in \(state)")
        }
    }

    /// The server hung up. `completesBody`: it did so in order, and its response was to end like that.
    package mutating func serverEnded(completesBody: Bool) -> Action {
        switch state {
        case .awaitingResponse:
            return .attemptEnded
        case .responding:
            state = .ended
            if completesBody { return .finish(isRequestComplete ? .close : .linger, .close) }
            return .finish(bodyEndsWithConnection ? .reset : .cut, .close)
        case .ended:
            return .none
        }
    }

    /// The response broke its own framing, or stopped coming.
    package mutating func responseFailed() -> Action {
        serverEnded(completesBody: false)
    }

    /// The client is gone, or stopped taking and sending bytes.
    package mutating func clientFailed() -> Action {
        switch state {
        case .awaitingResponse, .responding:
            state = .ended
            return .finish(.reset, .close)
        case .ended:
            return .none
        }
    }

    /// The balancer answers instead of the server.
    package mutating func answeredLocally() -> Action {
        switch state {
        case .awaitingResponse:
            state = .ended
            guard isRequestComplete else { return .finish(.linger, .close) }
            return .finish(clientPersists ? .keepAlive : .close, .close)
        case .responding, .ended:
            preconditionFailure("an answer of our own in \(state)")
        }
    }
}
