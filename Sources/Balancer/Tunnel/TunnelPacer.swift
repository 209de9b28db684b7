// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor

/// How fast a drain closes tunnels: the larger of the floor and what empties it in time, as a loop's share.
package struct TunnelPace: Sendable, Equatable {
    package let perSecond: Double

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

/// Closes tunnels at an even pace, so that their clients don't all come back in one moment. Confined to its loop.
final class TunnelPacer {
    private var waiting: [Tunnel]
    private var closed = 0
    private let pace: TunnelPace
    private let began: UInt64
    private let loop: Loop
    private var timer: LoopTimer?

    init(_ tunnels: [Tunnel], pace: TunnelPace, loop: Loop) {
        waiting = tunnels
        self.pace = pace
        self.loop = loop
        began = loop.milliseconds
        timer = loop.every(.milliseconds(20)) { [weak self] in self?.step() }
    }

    func add(_ tunnel: Tunnel) {
        waiting.append(tunnel)
    }

    func stop() {
        timer?.cancel()
        timer = nil
        waiting = []
    }

    private func step() {
        let due = min(pace.due(after: loop.milliseconds - began), closed + waiting.count)
        while closed < due {
            waiting.removeLast().close()
            closed += 1
        }
    }
}
