// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor

/// The servers whose tunnels one loop is closing: they are down, in maintenance, or drained. Confined to its loop.
final class TunnelClosings {
    private struct Closing {
        let server: PooledServer
        /// nil: at once.
        let pacer: TunnelPacer?
    }

    private var closings: [Closing] = []
    private let loop: Loop

    init(loop: Loop) {
        self.loop = loop
    }

    /// Another order for the same server takes the place of the first.
    func close(_ tunnels: [Tunnel], to server: PooledServer, perSecond: Int?, loops: Int) {
        keep(server)
        guard let perSecond else {
            closings.append(Closing(server: server, pacer: nil))
            for tunnel in tunnels { tunnel.cut() }
            return
        }
        let pacer = TunnelPacer(tunnels, pace: TunnelPace(perSecond: perSecond, loops: loops), loop: loop)
        closings.append(Closing(server: server, pacer: pacer))
    }

    /// The server is back.
    func keep(_ server: PooledServer) {
        for closing in closings where closing.server === server { closing.pacer?.stop() }
        closings.removeAll { $0.server === server }
    }

    /// Its upgrade was under way when the order came.
    func opened(_ tunnel: Tunnel) {
        guard let closing = closings.first(where: { tunnel.leads(to: $0.server) }) else { return }
        if let pacer = closing.pacer {
            pacer.add(tunnel)
        } else {
            loop.defer { tunnel.cut() }
        }
    }

    func stop() {
        for closing in closings { closing.pacer?.stop() }
        closings = []
    }
}
