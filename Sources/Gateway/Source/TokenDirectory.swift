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

    let loop: Loop
    let source: any ConfigurationSource
    let queue: SourceQueue
    let logger: Logger
    /// Posts to every loop.
    let tell: (Notice) -> Void
    private var cached: [String: (principal: Principal, until: UInt64, asOf: Int)] = [:]
    /// The keys of `cached`, by the token's id.
    private var cachedTexts: [String: Set<String>] = [:]
    private var waiting: [String: LookUp] = [:]
    private var changes = TokenChanges()
    /// Ended within the last minutes: look-ups that were under way then may still say otherwise.
    private var ended: [String: UInt64] = [:]

    // Following what becomes of them; see the extension.
    var uses = TokenUses()
    var log = TokenLogStateMachine()
    /// One line an outage.
    var isLogUnreadable = false

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

    func forget(_ id: String) {
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
        if changes.mayHaveChanged(id, since: began) || !shared.grantsTheSame(as: principal) { suspect(id) }
        return shared
    }

    func connections(of id: String) -> Int { uses.connections(of: id) }

    func released(_ identity: String) {
        uses.release(identity)
    }

    // MARK: Ends and changes

    /// Somebody is let in by what was looked up, or might be.
    var isAnybodyThere: Bool { !uses.isEmpty || !cached.isEmpty || !waiting.isEmpty }

    /// Something that was looked up of it may be let in still.
    func mayBeKnown(_ id: String) -> Bool {
        // Whose a look-up under way is shows only at its end.
        uses.contains(id) || cachedTexts[id] != nil || !waiting.isEmpty
    }

    func end(_ id: String) {
        guard id != TokenRecord.configuredRoot.id else { return }
        ended[id] = now
        forget(id)
        if uses.removeAll(of: id) { tell(.ended(id: id, .revoked)) }
    }

    /// Nothing that is remembered of it, or is being looked up, counts any more.
    func outdate(_ id: String) {
        changes.append(id, at: now)
        forget(id)
    }

    func outdateAll() {
        changes.appendAll()
        (cached, cachedTexts) = ([:], [:])
    }

    /// Drops what is too old to matter.
    func expire() {
        let now = now
        ended = ended.filter { now < $0.value + 10 * Self.lifetime }
        changes.removeAll(before: now - min(now, 10 * Self.lifetime))
        for (text, known) in cached where known.until <= now { drop(text, of: known.principal.token.id) }
        // Room that a crowd needed is given back.
        if cached.isEmpty { (cached, cachedTexts) = ([:], [:]) }
    }

    private func drop(_ text: String, of id: String) {
        cached[text] = nil
        cachedTexts[id]?.remove(text)
        if cachedTexts[id]?.isEmpty == true { cachedTexts[id] = nil }
    }
}
