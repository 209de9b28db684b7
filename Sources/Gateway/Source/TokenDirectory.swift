// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Logging
import Reactor
import Store

/// A token that was found good, shared by all its connections; replaced by a new one when its grants change.
final class Principal: Sendable {
    let token: TokenRecord
    /// In milliseconds since 1970.
    let expiry: Int64?

    init(_ token: TokenRecord) {
        self.token = token
        expiry = token.expiresAt.map { Int64($0.timeIntervalSince1970 * 1000) }
    }
}

/// The tokens in use: each is looked up once however many clients bring it, and watched for its end. Confined to the feed loop.
final class TokenDirectory {
    enum Answer: Sendable {
        case accepted(Principal)
        case refused
        case unavailable
    }

    enum Notice: Sendable {
        case ended(id: String, TokenEnd)
        case changed(Principal)
    }

    /// How long a good token is believed without another look-up.
    static let lifetime: UInt64 = 30_000
    private static let capacity = 20_000
    /// Look-ups of one round that are under way together.
    private static let roundWidth = 32

    private let loop: Loop
    private let source: any ConfigurationSource
    private let queue: SourceQueue
    private let logger: Logger
    /// Posts to every loop.
    private let tell: (Notice) -> Void
    private var cached: [String: (principal: Principal, until: UInt64)] = [:]
    private var waiting: [String: [(Answer) -> Void]] = [:]
    /// Connections of each token, on all loops.
    private var uses: [String: (principal: Principal, count: Int)] = [:]
    /// Ended within the last minutes: look-ups that were under way then may still say otherwise.
    private var ended: [String: UInt64] = [:]
    private var isChecking = false

    init(loop: Loop, source: any ConfigurationSource, queue: SourceQueue, logger: Logger, tell: @escaping (Notice) -> Void) {
        self.loop = loop
        self.source = source
        self.queue = queue
        self.logger = logger
        self.tell = tell
    }

    private var now: UInt64 { loop.milliseconds }

    // MARK: Looking up

    func authenticate(_ text: String, _ done: @escaping (Answer) -> Void) {
        if let known = cached[text], known.until > now {
            done(.accepted(known.principal))
            return
        }
        if waiting[text] != nil {
            waiting[text]?.append(done)
            return
        }
        waiting[text] = [done]
        let own = LoopBound(self, loop: loop)
        let source = source
        let isTaken = queue.submit {
            let result: Result<TokenRecord?, StoreError>
            do throws(StoreError) {
                result = .success(try await source.authenticate(text))
            } catch {
                result = .failure(error)
            }
            own.loop.post { own.value.lookedUp(text, result) }
        }
        if !isTaken { lookedUp(text, .failure(StoreError(.unavailable, "too many reads are waiting"))) }
    }

    private func lookedUp(_ text: String, _ result: Result<TokenRecord?, StoreError>) {
        let callers = waiting.removeValue(forKey: text) ?? []
        let answer: Answer
        switch result {
        case .success(let token?) where ended[token.id] == nil:
            // Its other connections share the record, so that a change of its grants reaches all of them.
            let principal = uses[token.id].flatMap { $0.principal.token == token ? $0.principal : nil } ?? Principal(token)
            if cached.count >= Self.capacity { cached = [:] }
            cached[text] = (principal, now + Self.lifetime)
            answer = .accepted(principal)
        case .success:
            answer = .refused
        case .failure(let error):
            logger.warning("A token cannot be looked up", metadata: ["error": "\(error)"])
            answer = .unavailable
        }
        for caller in callers { caller(answer) }
    }

    // MARK: Use

    /// False for a token that ended between its look-up and now.
    func used(_ principal: Principal) -> Bool {
        let id = principal.token.id
        guard ended[id] == nil else { return false }
        uses[id] = (principal, (uses[id]?.count ?? 0) + 1)
        return true
    }

    func released(_ id: String) {
        guard let use = uses[id] else { return }
        uses[id] = use.count > 1 ? (use.principal, use.count - 1) : nil
    }

    // MARK: Ends and changes

    /// Somebody said that a token was revoked; only an authenticated message is believed.
    func revocationAnnounced(_ id: String, isTrusted: Bool) {
        if isTrusted { end(id) } else { check([id]) }
    }

    private func end(_ id: String) {
        guard id != TokenRecord.configuredRoot.id else { return }
        ended[id] = now
        cached = cached.filter { $0.value.principal.token.id != id }
        if uses.removeValue(forKey: id) != nil { tell(.ended(id: id, .revoked)) }
    }

    /// Looks every token in use up again: what no message told, this finds.
    func checkAll() {
        ended = ended.filter { now < $0.value + 10 * Self.lifetime }
        cached = cached.filter { $0.value.until > now }
        check(Array(uses.keys))
    }

    private func check(_ ids: [String]) {
        let ids = ids.filter { $0 != TokenRecord.configuredRoot.id && uses[$0] != nil }
        guard !isChecking, !ids.isEmpty else { return }
        isChecking = true
        let own = LoopBound(self, loop: loop)
        let source = source
        let isTaken = queue.submit {
            let found = await Self.lookUp(ids, in: source)
            own.loop.post { own.value.checked(found) }
        }
        if !isTaken { isChecking = false }
    }

    /// Tokens whose look-up failed are left out.
    private static func lookUp(_ ids: [String], in source: any ConfigurationSource) async -> [(String, TokenRecord?)] {
        await withTaskGroup(of: (String, TokenRecord?)?.self) { group in
            var rest = ids[...]
            func addNext() {
                guard let id = rest.popFirst() else { return }
                group.addTask {
                    do throws(StoreError) {
                        return (id, try await source.token(id))
                    } catch {
                        return nil
                    }
                }
            }
            for _ in 0..<roundWidth { addNext() }
            var found: [(String, TokenRecord?)] = []
            while let answer = await group.next() {
                if let answer { found.append(answer) }
                addNext()
            }
            return found
        }
    }

    private func checked(_ found: [(String, TokenRecord?)]) {
        isChecking = false
        for (id, token) in found {
            guard let use = uses[id] else { continue }
            guard let token else {
                end(id)
                continue
            }
            // Only what decides about access; a token's last use changes all the time.
            guard token.grants != use.principal.token.grants || token.expiresAt != use.principal.token.expiresAt else { continue }
            let principal = Principal(token)
            uses[id] = (principal, use.count)
            cached = cached.filter { $0.value.principal.token.id != id }
            tell(.changed(principal))
        }
    }
}
