// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Wire

/// Decides when one connection is ready, alive, away and over; a value, owned by its `RedisConnection`. Times are the loop's milliseconds.
package struct RedisConnectionStateMachine {
    private enum State {
        case idle
        case connecting
        case greeting(left: ArraySlice<RedisGreeting.Step>, until: UInt64)
        /// `ping` is when the unanswered PING was sent.
        case ready(heard: UInt64, ping: UInt64?)
        case closed

        var name: String {
            switch self {
            case .idle: "idle"
            case .connecting: "connecting"
            case .greeting: "greeting"
            case .ready: "ready"
            case .closed: "closed"
            }
        }
    }

    package enum StartAction { case connect }
    package enum ConnectedAction { case greet(checkAfter: UInt64) }

    package enum ReplyAction {
        /// Part of the greeting, or too late.
        case ignore
        /// Part of the greeting: the nodes of the cluster.
        case learn
        case opened(checkAfter: UInt64)
        /// It answers the oldest command.
        case deliver
        case fail(NotifierError)
    }

    package enum LivenessAction {
        case check(after: UInt64)
        case ping(checkAfter: UInt64)
        case fail(NotifierError)
        case ignore
    }

    package enum CloseAction {
        case close
        case ignore
    }

    private var state = State.idle
    private let steps: [RedisGreeting.Step]
    private let greetingLimit: UInt64
    private let silenceLimit: UInt64
    private let answerLimit: UInt64

    package init(steps: [RedisGreeting.Step], greetingLimit: UInt64, silenceLimit: UInt64, answerLimit: UInt64) {
        self.steps = steps
        self.greetingLimit = greetingLimit
        self.silenceLimit = silenceLimit
        self.answerLimit = answerLimit
    }

    package var isReady: Bool {
        switch state {
        case .ready: true
        case .idle, .connecting, .greeting, .closed: false
        }
    }

    package mutating func started() -> StartAction {
        switch state {
        case .idle:
            state = .connecting
            return .connect
        case .connecting, .greeting, .ready, .closed:
            illegal("started")
        }
    }

    package mutating func connected(at now: UInt64) -> ConnectedAction {
        switch state {
        case .connecting:
            state = .greeting(left: steps[...], until: now + greetingLimit)
            return .greet(checkAfter: greetingLimit)
        case .idle, .greeting, .ready, .closed:
            illegal("connected")
        }
    }

    /// Any byte proves that Redis lives, whatever it belongs to.
    package mutating func heard(at now: UInt64) {
        switch state {
        case .ready: state = .ready(heard: now, ping: nil)
        case .greeting, .closed: break
        case .idle, .connecting: illegal("heard")
        }
    }

    /// A whole reply.
    package mutating func replied(_ reply: RESPValue, at now: UInt64) -> ReplyAction {
        switch state {
        case .greeting(var left, let until):
            guard let step = left.popFirst() else { illegal("replied to nothing") }
            if let error = step.fault(reply) {
                state = .closed
                return .fail(error)
            }
            guard left.isEmpty else {
                state = .greeting(left: left, until: until)
                return step == .nodes ? .learn : .ignore
            }
            state = .ready(heard: now, ping: nil)
            return .opened(checkAfter: silenceLimit)
        case .ready:
            return .deliver
        case .closed:
            // The same read brought the reply that ended the connection, and this one after it.
            return .ignore
        case .idle, .connecting:
            illegal("replied")
        }
    }

    /// The timer of the last `check` or `ping` fired, and what had arrived by then was read.
    package mutating func checkDue(at now: UInt64) -> LivenessAction {
        switch state {
        case .greeting(_, let until):
            guard now >= until else { return .check(after: until - now) }
            state = .closed
            return .fail(NotifierError(.away, "Redis took the connection but didn't answer: is it paused, or too busy?"))
        case .ready(let heard, .none):
            let due = heard + silenceLimit
            guard now >= due else { return .check(after: due - now) }
            state = .ready(heard: heard, ping: now)
            return .ping(checkAfter: answerLimit)
        case .ready(_, .some(let ping)):
            let due = ping + answerLimit
            guard now >= due else { return .check(after: due - now) }
            state = .closed
            return .fail(NotifierError(.away, "Redis didn't answer a PING in time: is it paused, or too busy?"))
        case .closed:
            // The timer was on its way when the connection ended.
            return .ignore
        case .idle, .connecting:
            illegal("checkDue")
        }
    }

    /// The socket is gone, our side gives up, or somebody asked for the end.
    package mutating func closed() -> CloseAction {
        switch state {
        case .idle, .connecting, .greeting, .ready:
            state = .closed
            return .close
        case .closed:
            return .ignore
        }
    }

    private func illegal(_ event: String) -> Never {
        preconditionFailure("\(event) while \(state.name)")
    }
}
