// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// `/stats`: listeners, pools and servers with what they carry.
enum StatsPage {
    static func page(_ report: StatusReport) -> HTMLPage {
        HTMLPage(
            title: "Statistics",
            current: .stats,
            refresh: 10,
            note: note(report),
            content: cards(report) + listeners(report) + report.pools.map(pool).joined() + legend
        )
    }

    static func note(_ report: StatusReport) -> String {
        let draining = report.isDraining ? "<span class=\"badge warn\">This balancer is draining</span> " : ""
        return "\(draining)\(HTMLText.escaped(report.instance)), up \(HTMLText.duration(seconds: report.uptime))"
    }

    private static func cards(_ report: StatusReport) -> String {
        let servers = report.pools.reduce(0) { $0 + $1.servers.count }
        let usable = report.pools.reduce(0) { $0 + $1.usable }
        let errors = report.serverErrors
        let share = report.requests > 0 ? HTMLText.fixed(Double(errors) * 100 / Double(report.requests), 2) : "0"
        return HTMLPage.cards([
            (
                "Servers usable", "\(usable)<span class=\"zero\"> / \(servers)</span>",
                usable == servers ? "all of them" : "\(servers - usable) out"
            ),
            ("Requests a second", HTMLText.number(report.rate), "\(HTMLText.number(report.requests)) in all"),
            ("Client connections", HTMLText.number(report.connections), "\(HTMLText.number(report.exchanges)) requests running"),
            ("Tunnels", HTMLText.number(report.tunnels), "WebSockets through us"),
            ("Received", HTMLText.bytes(report.bytesIn), "from clients"),
            ("Sent", HTMLText.bytes(report.bytesOut), "to clients"),
            ("5xx answers", errors > 0 ? "<span class=\"alarm\">\(HTMLText.number(errors))</span>" : "0", "\(share) % of all"),
        ])
    }

    // MARK: Listeners

    private static func listeners(_ report: StatusReport) -> String {
        let rows = report.listeners.map { listener in
            let figures = listener.figures
            return """
                <tr><th scope="row" class="name">\(HTMLText.escaped(listener.address))</th>
                <td>\(count(figures.current))</td><td>\(count(figures.highest))</td><td>\(count(figures.totals[.sessions]))</td>\
                <td>\(count(figures.rate))</td><td>\(count(figures.highestRate))</td><td>\(count(figures.totals[.requests]))</td>\
                \(traffic(figures.totals))<td>\(count(figures.totals[.refused]))</td><td>\(count(figures.totals[.clientAborts]))</td></tr>
                """
        }
        return """
            <h2>Listeners</h2>
            <div class="scroll" tabindex="0" role="region" aria-label="Listeners"><table>
            <thead><tr><th scope="col" class="name">Address</th><th scope="col">Connections</th><th scope="col">Peak</th><th scope="col">Total</th>\
            <th scope="col">Requests/s</th><th scope="col">Peak</th><th scope="col">Requests</th>\(trafficHeadings)\
            <th scope="col">Refused</th><th scope="col">Client aborts</th></tr></thead>
            <tbody>\(rows.joined(separator: "\n"))</tbody></table></div>
            """
    }

    private static let trafficHeadings = """
        <th scope="col">In</th><th scope="col">Out</th><th scope="col">2xx</th><th scope="col">3xx</th><th scope="col">4xx</th><th scope="col">5xx</th>
        """

    private static func traffic(_ totals: TrafficTotals) -> String {
        let errors = totals[.serverErrors]
        return """
            <td>\(HTMLText.bytes(totals[.bytesIn]))</td><td>\(HTMLText.bytes(totals[.bytesOut]))</td>\
            <td>\(count(totals[.successful]))</td><td>\(count(totals[.redirected]))</td><td>\(count(totals[.clientErrors]))</td>\
            <td>\(alarm(errors))</td>
            """
    }

    // MARK: Pools

    private static func pool(_ pool: StatusReport.Pool) -> String {
        let name = HTMLText.escaped(pool.status.name)
        let queued = pool.status.queued > 0 ? ", \(pool.status.queued) waiting" : ""
        let rows = pool.servers.map(server)
        let totals = pool.figures.totals
        return """
            <h2 id="pool-\(name)">Pool \(name) \(HTMLPage.usable(pool)) <small>\(pool.status.configuration.balance.word)\(queued)</small></h2>
            <div class="scroll" tabindex="0" role="region" aria-label="Servers of pool \(name)"><table class="wide">
            <thead><tr><th scope="col" class="name">Server</th><th scope="col" class="name state">State</th><th scope="col">Weight</th>\
            <th scope="col">Running</th><th scope="col">Tunnels</th><th scope="col">Queue</th><th scope="col">Req/s</th>\
            <th scope="col">Requests</th>\(trafficHeadings)<th scope="col">Errors</th><th scope="col">Retries</th>\
            <th scope="col" class="name">Last check</th><th scope="col">Downtime</th></tr></thead>
            <tbody>\(rows.isEmpty ? "<tr><td class=\"name\" colspan=\"18\">This pool waits for its first server.</td></tr>" : rows.joined(separator: "\n"))</tbody>
            <tfoot><tr><th scope="row" class="name">All</th><td></td><td></td><td>\(count(pool.exchanges))</td><td>\(count(pool.tunnels))</td>\
            <td>\(count(pool.status.queued))</td><td>\(count(pool.figures.rate))</td><td>\(count(totals[.requests]))</td>\(traffic(totals))\
            \(errors(totals))<td>\(count(totals[.retries] + totals[.redispatches]))</td><td></td><td></td></tr></tfoot>
            </table></div>
            """
    }

    private static func server(_ member: StatusReport.PooledMember) -> String {
        let status = member.status
        let totals = member.figures.totals
        let limit = status.maxConnections == 0 ? "" : " of \(HTMLText.number(status.maxConnections))"
        let downtime = status.downs == 0 ? "<span class=\"zero\">none</span>" : HTMLText.duration(seconds: status.secondsDown)
        return """
            <tr><th scope="row" class="name">\(HTMLText.escaped(status.name))\(tags(status))\(HTMLPage.address(status))</th>\
            <td class="name state">\(HTMLPage.badge(status)) \(HTMLText.duration(seconds: status.secondsInState))<small>\(explanation(status))</small></td>\
            <td>\(weight(status))</td><td>\(count(status.exchanges))<small>peak \(HTMLText.number(member.figures.highest))\(limit)</small></td>\
            <td>\(count(status.tunnels))</td><td>\(count(status.queued))</td>\
            <td>\(count(member.figures.rate))<small>peak \(HTMLText.number(member.figures.highestRate))</small></td><td>\(count(totals[.requests]))</td>\
            \(traffic(totals))\(errors(totals))<td>\(count(totals[.retries] + totals[.redispatches]))</td><td class="name check">\(check(status))</td>\
            <td>\(downtime)\(status.downs == 0 ? "" : "<small>\(status.downs)\u{00D7} down</small>")</td></tr>
            """
    }

    /// Connects that failed, and answers that never came or were none.
    private static func errors(_ totals: TrafficTotals) -> String {
        let (connects, answers) = (totals[.connectFailures], totals[.serverFailures])
        guard connects + answers > 0 else { return "<td>\(count(0))</td>" }
        return
            "<td>\(alarm(connects + answers))<small>\(HTMLText.number(connects)) connect<br>\(HTMLText.number(answers)) answer</small></td>"
    }

    static func tags(_ status: ServerStatus) -> String {
        var tags: [String] = []
        if status.isBackup { tags.append("backup") }
        if status.origin != .configured { tags.append(status.origin.rawValue) }
        if let route = status.route { tags.append("route \(route)") }
        return tags.map { "<span class=\"tag\">\(HTMLText.escaped($0))</span>" }.joined()
    }

    /// Why it is so, and what is next.
    static func explanation(_ status: ServerStatus) -> String {
        guard let drain = status.drain else { return status.standing == .up ? "" : HTMLText.escaped(status.reason) }
        let left = "\(drain.exchangesLeft) requests and \(drain.tunnelsLeft) tunnels left"
        return drain.secondsToDeadline > 0
            ? "\(left), pinned clients for \(HTMLText.duration(seconds: drain.secondsToDeadline)) more" : left
    }

    private static func weight(_ status: ServerStatus) -> String {
        let effective = HTMLText.fixed(status.effectiveWeight, 1)
        let isRamping = status.standing == .up && abs(status.effectiveWeight - Double(status.weight)) >= 0.05 && status.effectiveWeight > 0
        return isRamping ? "\(status.weight)<small>now \(effective)</small>" : "\(status.weight)"
    }

    private static func check(_ status: ServerStatus) -> String {
        guard let check = status.check else { return "<span class=\"zero\">none yet</span>" }
        let failed = status.checksFailed > 0 ? ", \(HTMLText.number(status.checksFailed)) failed so far" : ""
        let word = check.passed ? HTMLText.escaped(check.outcome) : "<span class=\"alarm\">failed</span>"
        // Why is told beside the state, unless it goes by others.
        let cause = check.passed || status.standing == .down ? "" : "<small>\(HTMLText.escaped(check.outcome))</small>"
        return "\(word)\(cause)<small>\(check.milliseconds) ms, \(HTMLText.duration(seconds: check.secondsAgo)) ago\(failed)</small>"
    }

    private static func count(_ value: Int) -> String {
        value == 0 ? "<span class=\"zero\">0</span>" : HTMLText.number(value)
    }

    private static func alarm(_ value: Int) -> String {
        value == 0 ? "<span class=\"zero\">0</span>" : "<span class=\"alarm\">\(HTMLText.number(value))</span>"
    }

    private static let legend = """
        <p class="legend">This page loads itself anew every 10 seconds. The same as <a href="/stats;csv">CSV</a>, with HAProxy's columns, and as \
        <a href="/stats;json">JSON</a>.</p>
        """
}

extension BalanceConfiguration {
    /// HAProxy's word where it has one.
    var word: String {
        switch self {
        case .roundRobin: "roundrobin"
        case .leastConnections: "leastconn"
        case .powerOfTwo: "p2c"
        case .hash: "hash"
        case .random: "random"
        case .first: "first"
        }
    }
}
