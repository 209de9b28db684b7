// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Logging
import Reactor
import Store

/// Messages say at once what becomes of tokens; the log in PostgreSQL says it for certain.
extension TokenDirectory {
    /// Events of one page.
    private static let pageLimit = 500
    /// Look-ups of one round that are under way together.
    private static let roundWidth = 32
    private static let pause = Duration.milliseconds(20)

    // MARK: Occasions

    /// Somebody said that a token was revoked; only an authenticated message is believed.
    func revocationAnnounced(_ id: String, sequence: Int64?, isTrusted: Bool) {
        if isTrusted {
            end(id)
            perform(log.announced(sequence))
        } else if mayBeKnown(id) {
            perform(log.asked())
        }
    }

    /// Somebody said that a token has other grants or another expiry now. What they are is read, whoever says it.
    func changeAnnounced(_ id: String, sequence: Int64?, isTrusted: Bool) {
        if isTrusted { perform(log.announced(sequence)) }
        guard mayBeKnown(id) else { return }
        outdate(id)
        perform(log.asked())
    }

    /// What no message told, this finds: one read, however many tokens there are.
    func sweep() {
        expire()
        perform(log.swept(isAnybodyThere: isAnybodyThere))
    }

    /// Its look-up may have been overtaken by a change.
    func suspect(_ id: String) {
        perform(log.suspected([id]))
    }

    private func perform(_ action: TokenLogStateMachine.Action) {
        switch action {
        case .none: break
        case .read(let place): read(after: place)
        case .rest:
            loop.after(Self.pause) { [weak self] in
                guard let self else { return }
                perform(log.rested())
            }
        case .lookUp(let ids): lookUp(ids)
        case .lookUpAll:
            outdateAll()
            lookUp(uses.tokenIDs)
        }
    }

    // MARK: The log

    private func read(after place: TokenLogPlace?) {
        let own = LoopBound(self, loop: loop)
        let source = source
        let isTaken = queue.submit {
            let result: Result<TokenEventPage, StoreError>
            do throws(StoreError) {
                result = .success(try await source.tokenEvents(after: place, limit: Self.pageLimit))
            } catch {
                result = .failure(error)
            }
            own.loop.post { own.value.read(result) }
        }
        if !isTaken { read(.failure(StoreError(.unavailable, "too many reads are waiting"))) }
    }

    private func read(_ result: Result<TokenEventPage, StoreError>) {
        switch result {
        case .success(let page):
            isLogUnreadable = false
            for event in page.events { follow(event) }
            perform(log.read(page))
        case .failure(let error):
            if !isLogUnreadable { logger.warning("The log of tokens cannot be read", metadata: ["error": "\(error)"]) }
            isLogUnreadable = true
            perform(log.readFailed())
        }
    }

    private func follow(_ event: TokenEvent) {
        guard let token = event.token else {
            end(event.tokenID)
            return
        }
        outdate(event.tokenID)
        renew(from: token)
    }

    private func renew(from token: TokenRecord) {
        for principal in uses.renew(from: token) { tell(.changed(principal)) }
    }

    // MARK: Look-ups

    private func lookUp(_ ids: Set<String>) {
        let ids = ids.filter { $0 != TokenRecord.configuredRoot.id && uses.contains($0) }
        guard !ids.isEmpty else {
            perform(log.lookedUp(unanswered: []))
            return
        }
        let own = LoopBound(self, loop: loop)
        let source = source
        let isTaken = queue.submit {
            let found = await Self.lookUp(ids, in: source)
            own.loop.post { own.value.lookedUp(ids, found) }
        }
        if !isTaken { lookedUp(ids, []) }
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

    private func lookedUp(_ ids: Set<String>, _ found: [(String, TokenRecord?)]) {
        var unanswered = ids
        for (id, token) in found {
            unanswered.remove(id)
            guard let token else {
                end(id)
                continue
            }
            let changed = uses.renew(from: token)
            guard !changed.isEmpty else { continue }
            forget(id)
            for principal in changed { tell(.changed(principal)) }
        }
        perform(log.lookedUp(unanswered: unanswered))
    }
}
