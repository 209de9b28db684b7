// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// `/server-status`: the process itself.
enum ServerStatusPage {
    static func page(_ report: StatusReport) -> HTMLPage {
        let uptime = max(report.uptime, 1)
        let rows = report.pools.map { pool in
            """
            <tr><th scope="row" class="name">\(HTMLText.escaped(pool.status.name))</th><td class="name">\(HTMLPage.usable(pool))</td>\
            <td>\(HTMLText.number(pool.exchanges))</td><td>\(HTMLText.number(pool.tunnels))</td><td>\(HTMLText.number(pool.status.queued))</td>\
            <td>\(HTMLText.number(pool.figures.totals[.requests]))</td></tr>
            """
        }
        let content = """
            \(HTMLPage.cards([
                ("Uptime", HTMLText.duration(seconds: report.uptime), report.isDraining ? "draining" : "serving"),
                ("Requests", HTMLText.number(report.requests), "\(HTMLText.fixed(Double(report.requests) / Double(uptime), 2)) a second on average"),
                ("Requests a second", HTMLText.number(report.rate), "in the last second"),
                ("Sent", HTMLText.bytes(report.bytesOut), "\(HTMLText.bytes(report.bytesOut / uptime)) a second on average"),
                ("Busy", HTMLText.number(report.exchanges + report.tunnels), "\(HTMLText.number(report.exchanges)) requests, \(HTMLText.number(report.tunnels)) tunnels"),
                ("Idle connections", HTMLText.number(idle(report)), "kept open by clients"),
            ]))
            <h2>Process</h2>
            <div class="scroll"><table class="facts"><tbody>
            <tr><th scope="row" class="name">Instance</th><td class="name">\(HTMLText.escaped(report.instance))</td></tr>
            <tr><th scope="row" class="name">Process</th><td class="name">\(report.processID)</td></tr>
            <tr><th scope="row" class="name">Event loops</th><td class="name">\(report.loops)</td></tr>
            <tr><th scope="row" class="name">Listening on</th><td class="name">\(HTMLText.escaped(report.listeners.map(\.address).joined(separator: ", ")))</td></tr>
            </tbody></table></div>
            <h2>Pools</h2>
            <div class="scroll"><table><thead><tr><th scope="col" class="name">Pool</th><th scope="col" class="name">Servers</th><th scope="col">Running</th>\
            <th scope="col">Tunnels</th><th scope="col">Queue</th><th scope="col">Requests</th></tr></thead>
            <tbody>\(rows.joined(separator: "\n"))</tbody></table></div>
            <p class="legend">For programs: <a href="/server-status?auto">/server-status?auto</a>, in the form of Apache's mod_status.</p>
            """
        return HTMLPage(title: "Process", current: .status, refresh: 10, note: StatsPage.note(report), content: content)
    }

    static func idle(_ report: StatusReport) -> Int {
        max(0, report.connections - report.exchanges - report.tunnels)
    }
}
