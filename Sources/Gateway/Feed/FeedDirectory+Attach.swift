// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Logging
import Reactor
import Store

extension FeedDirectory {
    /// Changes of one page of a long way back.
    private static let pageLimit = 250

    func attach(_ request: AttachRequest) {
        if let feed = feed(request.environment) {
            attach(request, to: feed)
            settle()
        } else {
            load(request.environment, for: .attach(request))
        }
    }

    func attach(_ request: AttachRequest, to feed: Feed) {
        guard feed.machine.isLive else {
            feed.waiting.append(request)
            return
        }
        guard let since = request.since, isDoubtful(since, in: feed) else {
            start(request, in: feed)
            return
        }
        // A client that knows more than this feed comes from a gateway that was quicker, or from another history.
        feed.waiting.append(request)
        suspects[ObjectIdentifier(feed)] = feed
    }

    private func isDoubtful(_ since: ResumePoint, in feed: Feed) -> Bool {
        let content = feed.machine.content
        if since.revision > content.head.revision { return true }
        guard let mark = since.mark, let known = content.mark(at: since.revision) else { return false }
        return mark != known
    }

    /// Lets in those who waited, once PostgreSQL has been asked and nothing is missing.
    func answerWaiting(of feed: Feed) {
        guard !feed.waiting.isEmpty, feed.machine.isSettled, suspects[ObjectIdentifier(feed)] == nil, !feed.isCompared else { return }
        let waiting = feed.waiting
        feed.waiting = []
        for request in waiting { start(request, in: feed) }
    }

    /// The feed is live; what it says of the request's starting point is final.
    private func start(_ request: AttachRequest, in feed: Feed) {
        let group = group(of: feed, request.key)
        let content = feed.machine.content
        do {
            guard let since = request.since, !isDoubtful(since, in: feed) else {
                finish(request, feed, group, try group.start(with: content, isFirst: request.since == nil, at: now))
                return
            }
            // A mark that memory cannot check sends the request to PostgreSQL, unless every change counts for nothing anyway.
            let isChecked = since.mark == nil || content.mark(at: since.revision) != nil
            let start =
                try isChecked
                ? group.start(since: since.revision, isConflated: request.isConflated, in: content, at: now) : nil
            if let start {
                finish(request, feed, group, start)
            } else if request.isConflated {
                finish(request, feed, group, try group.start(with: content, isFirst: false, at: now))
            } else {
                readBack(request, since, in: feed)
            }
        } catch {
            unreadable(request, feed, group, error)
        }
        release(group, of: feed)
    }

    private func finish(_ request: AttachRequest, _ feed: Feed, _ group: FeedGroup, _ start: FeedGroup.Start) {
        group.joined(on: request.loop)
        feed.idleSince = nil
        if request.isConflated { metrics.conflated() }
        request.answer(
            .started(
                StartedWatch(
                    environment: feed.environment,
                    group: group.id,
                    bytes: start.bytes,
                    cursor: start.cursor,
                    needsVariant: start.needsVariant
                )
            )
        )
    }

    private func unreadable(_ request: AttachRequest, _ feed: Feed, _ group: FeedGroup, _ error: any Error) {
        logger.error(
            "A secret cannot be opened, a watcher is refused",
            metadata: ["environment": "\(feed.environment.text)", "error": "\(error)"]
        )
        request.answer(.refused(.unavailable))
    }

    // MARK: The long way back

    /// Reads the changes after a revision that memory doesn't reach, a page at a time; those who come from the same revision share it.
    private func readBack(_ request: AttachRequest, _ since: ResumePoint, in feed: Feed) {
        let isFirst = feed.readingBack[since] == nil
        feed.readingBack[since, default: []].append(request)
        guard isFirst else { return }
        let own = LoopBound((self, feed), loop: loop)
        let (source, id, limit) = (source, feed.id, Self.pageLimit)
        let isTaken = queue.submit {
            let result: Result<ChangesPage, StoreError>
            do throws(StoreError) {
                result = .success(try await source.changes(id, since: since.revision, limit: limit))
            } catch {
                result = .failure(error)
            }
            own.loop.post {
                let (directory, feed) = own.value
                directory.wasReadBack(feed, since, result)
                directory.settle()
            }
        }
        if !isTaken { wasReadBack(feed, since, .failure(StoreError(.unavailable, "too many reads are waiting"))) }
    }

    private func wasReadBack(_ feed: Feed, _ since: ResumePoint, _ result: Result<ChangesPage, StoreError>) {
        let requests = feed.readingBack.removeValue(forKey: since) ?? []
        switch result {
        case .failure(let error):
            let refusal = refusal(for: error, reading: feed.environment.path)
            for request in requests { request.answer(.refused(refusal)) }
        case .success(let page):
            guard feed.machine.isLive else {
                // Reloaded or deleted meanwhile: the request starts over.
                for request in requests { attach(request) }
                return
            }
            for request in requests { answer(request, with: page, since, in: feed) }
        }
    }

    private func answer(_ request: AttachRequest, with page: ChangesPage, _ since: ResumePoint, in feed: Feed) {
        let group = group(of: feed, request.key)
        let content = feed.machine.content
        defer { release(group, of: feed) }
        do {
            guard !page.tooOld, since.mark == nil || page.markAtSince == since.mark else {
                finish(request, feed, group, try group.start(with: content, isFirst: false, at: now))
                return
            }
            let rows = page.changes.filter { $0.revision <= content.head.revision }
            let reached = rows.last?.cursor ?? Cursor(revision: since.revision, mark: page.markAtSince ?? 0)
            if let rest = content.changes(since: reached.revision) {
                finish(request, feed, group, try group.start(with: rows + rest, since: since.revision, to: content.head, at: now))
            } else {
                let bytes = try group.page(of: rows, since: since.revision, to: reached)
                request.answer(.page(bytes: bytes, cursor: reached, environment: feed.environment))
            }
        } catch {
            unreadable(request, feed, group, error)
        }
    }
}
