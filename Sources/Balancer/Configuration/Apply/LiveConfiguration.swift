// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor

/// The configuration that is in force, with what was made of it. A value, kept by the service.
struct LiveConfiguration: Sendable {
    /// A listener's sockets, one for each loop; a Unix socket has one. They are open for as long as somebody holds them.
    struct OpenListener: Sendable {
        let bind: Endpoint
        let sockets: [ListenSocket]

        var address: SocketAddress? { sockets.first?.address }
    }

    var configuration: BalancerConfiguration
    var routes: RouteTable
    var keys: StickyKeyRing
    /// Names of sticky cookies that were ours since the start and aren't any more, oldest first.
    var formerCookies: [String] = []
    /// In the configuration's order.
    var listeners: [OpenListener]

    /// What `formerCookies` becomes with another configuration.
    func formerCookies(after next: BalancerConfiguration) -> [String] {
        let (dropped, kept) = (configuration.stickyCookies, next.stickyCookies)
        let all = formerCookies.filter { !dropped.contains($0) } + dropped
        return all.filter { !kept.contains($0) }.suffix(StickyCookies.formerLimit)
    }

    /// The sockets of `wanted` in its order: those that are open already, those that were passed to us, and new ones for the rest.
    ///
    /// - Throws: `listen_failed`; what was opened here is closed again, and nothing else has changed.
    static func open(
        _ wanted: [ListenerConfiguration],
        keeping open: [OpenListener] = [],
        passed: PassedSockets,
        count: Int
    ) throws(BalancerError) -> [OpenListener] {
        var rest = open
        var opened: [OpenListener] = []
        for listener in wanted {
            if let known = rest.firstIndex(where: { $0.bind == listener.bind }) {
                opened.append(rest.remove(at: known))
                continue
            }
            do throws(ReactorError) {
                let given = passed.socket(for: listener.bind, of: wanted.map(\.bind))
                let sockets =
                    if let given {
                        try ListenSocket.open(given, count: count)
                    } else {
                        try ListenSocket.open(listener.bind, count: count, isShared: true)
                    }
                opened.append(OpenListener(bind: listener.bind, sockets: sockets))
            } catch {
                throw BalancerError(.listenFailed, error.message, underlying: error)
            }
        }
        return opened
    }
}
