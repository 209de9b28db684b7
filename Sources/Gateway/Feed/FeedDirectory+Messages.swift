// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Notifier
import Store

extension FeedDirectory {
    /// Everything that one read of the Redis connection brought, but what concerns tokens.
    func received(_ events: [SubscriberEvent]) {
        for event in events {
            switch event {
            case .connected:
                // Whatever was published until now may have been missed.
                isRedisAway = false
                sweep()
            case .disconnected:
                isRedisAway = true
            case .message(let message):
                received(message)
            case .untrusted(let id?):
                if let feed = feeds[id] { perform(feed.machine.suspected(), for: feed) }
            case .untrusted(nil):
                isSweepDue = true
            case .control(.environmentDeleted(let id), isTrusted: _):
                // Only PostgreSQL ends a feed.
                if let feed = feeds[id] { perform(feed.machine.suspected(), for: feed) }
            case .control(.tokenRevoked, isTrusted: _), .control(.tokenChanged, isTrusted: _), .control(.instanceDrain, isTrusted: _),
                .control(.instanceReady, isTrusted: _):
                break
            }
        }
        settle()
    }

    private func received(_ message: ChangeMessage) {
        guard let feed = feeds[message.environmentID] else {
            noteUnclaimed(message.environmentID, message.last)
            return
        }
        guard message.operation != .bulk else {
            perform(feed.machine.announced(last: message.last, at: now), for: feed)
            return
        }
        if let change = Change(message, environmentID: feed.id) {
            perform(feed.machine.received(change, at: now), for: feed)
        } else {
            perform(feed.machine.suspected(), for: feed)
        }
    }
}
