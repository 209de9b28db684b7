// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor

/// How fast tunnels are closed, as a loop's share.
package struct TunnelPace: Sendable, Equatable {
    package let perSecond: Double

    /// This many over all loops.
    package init(perSecond: Int, loops: Int) {
        self.perSecond = Double(perSecond) / Double(max(loops, 1))
    }

    /// For the balancer's own end: the larger of the floor and what empties it in time.
    package init(_ limits: BalancerLimits, tunnels: Int, loops: Int) {
        let floor = Double(limits.drainPace) / Double(max(loops, 1))
        let seconds = Double(max(limits.drainTunnels.wholeMilliseconds, 1)) / 1000
        perSecond = max(floor, Double(tunnels) / seconds)
    }

    /// How many are to be closed once this much time has passed.
    package func due(after milliseconds: UInt64) -> Int {
        Int((Double(milliseconds) / 1000 * perSecond).rounded(.up))
    }
}

/// Closes tunnels at an even pace, so that their clients don't all come back in one moment; also those that are added late. Confined to its
/// loop.
final class TunnelPacer {
    private var waiting: [Tunnel] = []
    private var closed = 0
    private let pace: TunnelPace
    private var began: UInt64 = 0
    private let loop: Loop
    private var timer: LoopTimer?

    init(_ tunnels: [Tunnel], pace: TunnelPace, loop: Loop) {
        self.pace = pace
        self.loop = loop
        for tunnel in tunnels { add(tunnel) }
    }

    func add(_ tunnel: Tunnel) {
        waiting.append(tunnel)
        guard timer == nil else { return }
        // Time in which there was nothing to close gives nobody the right to a burst.
        began = loop.milliseconds
        closed = 0
        timer = loop.every(.milliseconds(20)) { [weak self] in self?.step() }
    }

    /// What is still open stays.
    func stop() {
        timer?.cancel()
        timer = nil
        waiting = []
    }

    private func step() {
        let due = min(pace.due(after: loop.milliseconds - began), closed + waiting.count)
        while closed < due {
            // It may have ended by itself, and then it costs no turn.
            if waiting.removeLast().close() { closed += 1 }
            if waiting.isEmpty { break }
        }
        if waiting.isEmpty { stop() }
    }
}
