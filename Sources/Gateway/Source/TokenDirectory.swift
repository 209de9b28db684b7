// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Logging
import Reactor
import Store

/// The tokens in use: each is looked up once however many clients bring it, and watched for its end. Confined to the feed loop.
final class TokenDirectory {
    enum Answer: Sendable {
        /// `asOf` is for `used`.
        case accepted(Principal, asOf: Int)
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
    private var cached: [String: (principal: Principal, until: UInt64, asOf: Int)] = [:]
    /// The keys of `cached`, by the token's id.
    private var cachedTexts: [String: Set<String>] = [:]
    private var waiting: [String: LookUp] = [:]
    private var uses = TokenUses()
    private var changes = TokenChanges()
    /// Ended within the last minutes: look-ups that were under way then may still say otherwise.
    private var ended: [String: UInt64] = [:]
    private var isChecking = false
    /// Tokens that somebody spoke of while a round is under way: to look up again after it.
    private var toCheck: Set<String> = []

    /// One under way.
    private struct LookUp {
        var callers: [(Answer) -> Void]
        /// How many changes had been announced when it began.
        var began: Int
        var isRepeated = false
    }

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
        // What has expired since is refused by the look-up.
        if let known = cached[text], known.until > now, !known.principal.token.isExpired(at: Date()) {
            done(.accepted(known.principal, asOf: known.asOf))
            return
        }
        if waiting[text] != nil {
            waiting[text]?.callers.append(done)
            return
        }
        waiting[text] = LookUp(callers: [done], began: changes.count)
        lookUp(text)
    }

    private func lookUp(_ text: String) {
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
        guard var own = waiting[text] else { return }
        var isStale = false
        if case .success(let token?) = result { isStale = changes.mayHaveChanged(token.id, since: own.began) }
        if isStale, !own.isRepeated {
            own.began = changes.count
            own.isRepeated = true
            waiting[text] = own
            lookUp(text)
            return
        }
        waiting[text] = nil
        let answer: Answer
        switch result {
        case .success(let token?) where ended[token.id] == nil:
            let principal = Principal(token)
            // Changed during the second look-up too: nobody else gets that one, and who uses it has it looked up again.
            if !isStale { remember(principal, as: text, asOf: own.began) }
            answer = .accepted(principal, asOf: own.began)
        case .success:
            answer = .refused
        case .failure(let error):
            logger.warning("A token cannot be looked up", metadata: ["error": "\(error)"])
            answer = .unavailable
        }
        for caller in own.callers { caller(answer) }
    }

    private func remember(_ principal: Principal, as text: String, asOf began: Int) {
        if cached.count >= Self.capacity { (cached, cachedTexts) = ([:], [:]) }
        cached[text] = (principal, now + Self.lifetime, began)
        cachedTexts[principal.token.id, default: []].insert(text)
    }

    private func forget(_ id: String) {
        for text in cachedTexts.removeValue(forKey: id) ?? [] { cached[text] = nil }
    }

    // MARK: Use

    /// The principal to use, which the token's other connections have too, so that a change of its grants reaches all of them; nil for a token
    /// that ended between its look-up and now.
    func used(_ principal: Principal, asOf began: Int) -> Principal? {
        let id = principal.token.id
        guard ended[id] == nil else { return nil }
        let shared = uses.add(principal)
        // Which of two is the newer one only a look-up can tell.
        if changes.mayHaveChanged(id, since: began) || !shared.grantsTheSame(as: principal) { check([id]) }
        return shared
    }

    func connections(of id: String) -> Int { uses.connections(of: id) }

    func released(_ identity: String) {
        uses.release(identity)
    }

    // MARK: Ends and changes

    /// Somebody said that a token was revoked; only an authenticated message is believed.
    func revocationAnnounced(_ id: String, isTrusted: Bool) {
        if isTrusted { end(id) } else { check([id]) }
    }

    /// Somebody said that a token has other grants or another expiry now. Nothing that is remembered of it counts any more.
    func changeAnnounced(_ id: String) {
        // Anybody may say it, of any token. Whose a look-up under way is shows only at its end.
        guard uses.contains(id) || cachedTexts[id] != nil || !waiting.isEmpty else { return }
        changes.append(id, at: now)
        forget(id)
        check([id])
    }

    private func end(_ id: String) {
        guard id != TokenRecord.configuredRoot.id else { return }
        ended[id] = now
        forget(id)
        if uses.removeAll(of: id) { tell(.ended(id: id, .revoked)) }
    }

    /// Looks every token in use up again: what no message told, this finds. Not while a round is under way: the next call comes soon.
    func checkAll() {
        let now = now
        ended = ended.filter { now < $0.value + 10 * Self.lifetime }
        changes.removeAll(before: now - min(now, 10 * Self.lifetime))
        for (text, known) in cached where known.until <= now { drop(text, of: known.principal.token.id) }
        guard !isChecking else { return }
        check(uses.tokenIDs)
    }

    private func drop(_ text: String, of id: String) {
        cached[text] = nil
        cachedTexts[id]?.remove(text)
        if cachedTexts[id]?.isEmpty == true { cachedTexts[id] = nil }
    }

    private func check(_ ids: Set<String>) {
        let ids = ids.filter { $0 != TokenRecord.configuredRoot.id && uses.contains($0) }
        guard !ids.isEmpty else { return }
        guard !isChecking else {
            toCheck.formUnion(ids)
            return
        }
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
    private static func lookUp(_ ids: Set<String>, in source: any ConfigurationSource) async -> [(String, TokenRecord?)] {
        await withTaskGroup(of: (String, TokenRecord?)?.self) { group in
            var rest = Array(ids)[...]
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
            guard let token else {
                end(id)
                continue
            }
            let changed = uses.renew(from: token)
            guard !changed.isEmpty else { continue }
            forget(id)
            for principal in changed { tell(.changed(principal)) }
        }
        let rest = toCheck
        toCheck = []
        check(rest)
    }
}
