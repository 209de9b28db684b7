// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// `/stats;json`: the statistics for programs, under this product's names.
enum StatsDocument {
    static func bytes(_ report: StatusReport) -> [UInt8] {
        var out = JSONWriter()
        out.object {
            $0.member("instance", report.instance)
            $0.member("startedAt", report.startedAt)
            $0.member("uptime", report.uptime)
            $0.member("draining", report.isDraining)
            $0.array("listeners") { items in
                for listener in report.listeners {
                    items.object {
                        $0.member("address", listener.address)
                        $0.member("connectionsTotal", listener.figures.totals[.sessions])
                        append(listener.figures, to: &$0)
                    }
                }
            }
            $0.array("pools") { items in
                for pool in report.pools { items.object { append(pool, to: &$0) } }
            }
        }
        return out.line
    }

    private static func append(_ pool: StatusReport.Pool, to out: inout JSONWriter) {
        out.member("name", pool.status.name)
        out.member("balance", pool.status.configuration.balance.word)
        out.member("usable", pool.usable)
        out.member("panic", pool.status.isPanicking)
        out.member("queued", pool.status.queued)
        out.member("exchanges", pool.exchanges)
        out.member("tunnels", pool.tunnels)
        append(pool.figures, to: &out)
        out.array("servers") { items in
            for server in pool.servers {
                items.object {
                    let status = server.status
                    $0.member("name", status.name)
                    $0.member("address", status.address)
                    $0.member("state", status.standing.rawValue)
                    $0.member("administrativeState", status.administrative.rawValue)
                    $0.member("secondsInState", status.secondsInState)
                    $0.member("weight", status.weight)
                    $0.member("effectiveWeight", status.effectiveWeight)
                    $0.member("backup", status.isBackup)
                    $0.member("maxconn", status.maxConnections)
                    $0.member("exchanges", status.exchanges)
                    $0.member("tunnels", status.tunnels)
                    $0.member("queued", status.queued)
                    $0.member("checksFailed", status.checksFailed)
                    $0.member("downs", status.downs)
                    $0.member("secondsDown", status.secondsDown)
                    append(server.figures, to: &$0)
                }
            }
        }
    }

    private static func append(_ figures: StatusReport.Figures, to out: inout JSONWriter) {
        let totals = figures.totals
        out.member("current", figures.current)
        out.member("highest", figures.highest)
        out.member("rate", figures.rate)
        out.member("highestRate", figures.highestRate)
        let names: [(String, TrafficItem)] = [
            ("requests", .requests), ("bytesIn", .bytesIn), ("bytesOut", .bytesOut), ("responses1xx", .informational),
            ("responses2xx", .successful), ("responses3xx", .redirected), ("responses4xx", .clientErrors),
            ("responses5xx", .serverErrors), ("refused", .refused), ("connectFailures", .connectFailures),
            ("serverFailures", .serverFailures), ("clientAborts", .clientAborts), ("retries", .retries), ("redispatches", .redispatches),
        ]
        for (name, item) in names { out.member(name, totals[item]) }
    }
}
