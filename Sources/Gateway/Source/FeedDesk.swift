// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor
import Store

/// The feed loop's side of every connection: where the other loops post their questions and leave.
struct FeedDesk: Sendable {
    enum Admission: Sendable {
        case admitted(Principal)
        case unauthorized
        /// The same, and too many others from there were, too: seconds to wait.
        case limited(Int)
        case refused(AttachRefusal, EnvironmentPath)
        /// The token has all the connections that it may have.
        case tooMany
        case unavailable
    }

    let loop: Loop
    /// What watchers of secrets leave behind.
    let audit: AuditQueue
    private let status: GatewayStatus
    private let tokens: LoopBound<TokenDirectory>
    private let feeds: LoopBound<FeedDirectory>
    let logins: LoginGuard
    private let metrics: GatewayMetrics

    /// Made on the feed loop.
    init(
        loop: Loop,
        tokens: TokenDirectory,
        feeds: FeedDirectory,
        audit: AuditQueue,
        logins: LoginGuard,
        metrics: GatewayMetrics,
        status: GatewayStatus
    ) {
        self.loop = loop
        self.status = status
        self.audit = audit
        self.logins = logins
        self.metrics = metrics
        self.tokens = LoopBound(tokens, loop: loop)
        self.feeds = LoopBound(feeds, loop: loop)
    }

    /// Is the token good, and may it read each of the environments? `answer` is called on the feed loop; an admitted token counts as used.
    func admit(
        _ token: String,
        from client: LoginClient,
        to environments: [EnvironmentPath],
        _ answer: @escaping @Sendable (Admission) -> Void
    ) {
        loop.post {
            if let seconds = logins.wait(repeating: token, from: client) {
                metrics.loginRejected(isLimited: true)
                answer(.limited(seconds))
                return
            }
            tokens.value.authenticate(token) { result in
                switch result {
                case .accepted(let principal, let asOf): look(principal, asOf: asOf, environments[...], answer)
                case .refused:
                    let seconds = logins.refused(token, from: client)
                    metrics.loginRejected(isLimited: seconds != nil)
                    answer(seconds.map { .limited($0) } ?? .unauthorized)
                case .unavailable: answer(.unavailable)
                }
            }
        }
    }

    private func look(
        _ principal: Principal,
        asOf: Int,
        _ environments: ArraySlice<EnvironmentPath>,
        _ answer: @escaping @Sendable (Admission) -> Void
    ) {
        guard let path = environments.first else {
            if let limit = status.connectionLimit, tokens.value.connections(of: principal.token.id) >= limit {
                answer(.tooMany)
                return
            }
            answer(tokens.value.used(principal, asOf: asOf).map { .admitted($0) } ?? .unauthorized)
            return
        }
        // What the token may not know of is not even looked up.
        if let refusal = principal.refusal(for: path) {
            answer(.refused(refusal, path))
            return
        }
        feeds.value.look(path) { refusal in
            if let refusal {
                answer(.refused(refusal, path))
            } else {
                look(principal, asOf: asOf, environments.dropFirst(), answer)
            }
        }
    }

    func released(_ principal: Principal) {
        let identity = principal.token.identity
        loop.post { tokens.value.released(identity) }
    }

    func attach(_ request: AttachRequest) {
        loop.post { feeds.value.attach(request) }
    }

    func left(_ group: GroupID, on index: Int) {
        loop.post { feeds.value.left(group, on: index) }
    }
}

extension Principal {
    func refusal(for path: EnvironmentPath) -> AttachRefusal? {
        guard let access = token.access(to: path) else { return .notFound }
        return access.canReadSomething ? nil : .forbidden
    }
}
