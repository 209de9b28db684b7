// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Looks at the totals once a second, for what totals don't tell: rates and peaks. Confined to the control loop.
final class TrafficSampler {
    enum Subject: Hashable {
        case listener(String)
        case pool(String)
        case server(pool: String, name: String)
    }

    private struct Series {
        var requests: Int
        var rate = 0
        var highestRate = 0
        var highest = 0
        /// Seen in the current look; what isn't has gone.
        var isAlive = true
    }

    private var series: [Subject: Series] = [:]

    /// Opens a look: everything is `seen` once, and then `endLook` forgets the rest.
    func beginLook() {
        for subject in series.keys { series[subject]?.isAlive = false }
    }

    func seen(_ subject: Subject, requests: Int, current: Int) {
        var entry = series[subject] ?? Series(requests: requests)
        // A server of the same name that has begun anew counts from zero.
        entry.rate = max(0, requests - entry.requests)
        entry.highestRate = max(entry.highestRate, entry.rate)
        entry.highest = max(entry.highest, current)
        entry.requests = requests
        entry.isAlive = true
        series[subject] = entry
    }

    func endLook() {
        series = series.filter(\.value.isAlive)
    }

    func figures(_ subject: Subject, _ totals: TrafficTotals, current: Int) -> StatusReport.Figures {
        let entry = series[subject]
        return StatusReport.Figures(
            totals: totals,
            current: current,
            highest: max(entry?.highest ?? 0, current),
            rate: entry?.rate ?? 0,
            highestRate: entry?.highestRate ?? 0
        )
    }
}
