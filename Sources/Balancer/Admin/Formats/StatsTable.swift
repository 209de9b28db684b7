// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Formats: the same report as other tools write it, for what reads those already.
// Flows through: a `StatusReport` -> HAProxy's CSV and socket texts, Apache's `?auto`, JSON.
// Owner: nobody; each is text, made when it is asked for.
// Must hold: columns, keys and their order are the originals'; what has no meaning here is empty or 0, as the originals leave it.

/// HAProxy 2.6's `show stat` and `/stats;csv`: a row for each listener (FRONTEND), server and pool (BACKEND).
enum StatsTable {
    /// Up to `-` the columns that every proxy has, behind it those of HAProxy's modules, which stay empty here.
    static let columns = """
        pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,dreq,dresp,ereq,econ,eresp,wretr,wredis,status,weight,act,bck,chkfail,chkdown,\
        lastchg,downtime,qlimit,pid,iid,sid,throttle,lbtot,tracked,type,rate,rate_lim,rate_max,check_status,check_code,check_duration,\
        hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,hrsp_other,hanafail,req_rate,req_rate_max,req_tot,cli_abrt,srv_abrt,comp_in,comp_out,\
        comp_byp,comp_rsp,lastsess,last_chk,last_agt,qtime,ctime,rtime,ttime,agent_status,agent_code,agent_duration,check_desc,agent_desc,\
        check_rise,check_fall,check_health,agent_rise,agent_fall,agent_health,addr,cookie,mode,algo,conn_rate,conn_rate_max,conn_tot,\
        intercepted,dcon,dses,wrew,connect,reuse,cache_lookups,cache_hits,srv_icur,src_ilim,qtime_max,ctime_max,rtime_max,ttime_max,eint,\
        idle_conn_cur,safe_conn_cur,used_conn_cur,need_conn_est,uweight,agg_server_status,agg_server_check_status,agg_check_status,-,\
        ssl_sess,ssl_reused_sess,ssl_failed_handshake,h2_headers_rcvd,h2_data_rcvd,h2_settings_rcvd,h2_rst_stream_rcvd,h2_goaway_rcvd,\
        h2_detected_conn_protocol_errors,h2_detected_strm_protocol_errors,h2_rst_stream_resp,h2_goaway_resp,h2_open_connections,\
        h2_backend_open_streams,h2_total_connections,h2_backend_total_streams,h1_open_connections,h1_open_streams,h1_total_connections,\
        h1_total_streams,h1_bytes_in,h1_bytes_out,h1_spliced_bytes_in,h1_spliced_bytes_out
        """.split(separator: ",").map(String.init)

    /// HAProxy's types of rows, as bits of a mask.
    enum RowKind: Int {
        case frontend, backend, server
    }

    /// Which rows `show stat` is asked for; -1 is all.
    struct Filter {
        var proxy = -1
        var kinds = -1
        var server = -1
        var onlyUp = false
        var withoutMaintenance = false
        /// Of a pool or a listener, by its name.
        var name: String?
    }

    static func csv(_ report: StatusReport, _ filter: Filter = Filter()) -> String {
        var out = "# \(columns.joined(separator: ",")),\n"
        for row in rows(report, filter) { out += columns.map { row[$0].map(quoted) ?? "" }.joined(separator: ",") + ",\n" }
        return out
    }

    /// RFC 4180.
    private static func quoted(_ text: String) -> String {
        guard text.contains(where: { $0 == "," || $0 == "\"" || $0.isNewline }) else { return text }
        return "\"\(text.replacing("\"", with: "\"\""))\""
    }

    /// 1 is HAProxy's own.
    private static func number(ofListener index: Int) -> Int { index + 2 }
    static func number(ofPool index: Int, _ report: StatusReport) -> Int { report.listeners.count + index + 2 }

    private static func rows(_ report: StatusReport, _ filter: Filter) -> [[String: String]] {
        var rows: [[String: String]] = []
        for (index, listener) in report.listeners.enumerated()
        where filter.takes(number(ofListener: index), named: listener.address, .frontend) && filter.server <= 0 {
            rows.append(frontend(listener, number: number(ofListener: index), report))
        }
        for (index, pool) in report.pools.enumerated() {
            let number = number(ofPool: index, report)
            if filter.takes(number, named: pool.status.name, .server) {
                for (place, member) in pool.servers.enumerated() where filter.server == -1 || filter.server == place + 1 {
                    if filter.withoutMaintenance, member.status.administrative == .maint { continue }
                    if filter.onlyUp, !member.status.standing.isUp { continue }
                    rows.append(server(member, place: place + 1, pool, number: number))
                }
            }
            if filter.takes(number, named: pool.status.name, .backend), filter.server <= 0, !filter.onlyUp || pool.usable > 0 {
                rows.append(backend(pool, number: number, uptime: report.uptime))
            }
        }
        return rows
    }

    // MARK: Rows

    private static func common(
        _ name: String,
        _ service: String,
        _ number: Int,
        _ kind: RowKind,
        _ figures: StatusReport.Figures
    ) -> [String: String] {
        let totals = figures.totals
        return [
            "pxname": name, "svname": service, "scur": "\(figures.current)", "smax": "\(figures.highest)", "bin": "\(totals[.bytesIn])",
            "bout": "\(totals[.bytesOut])", "dresp": "0", "pid": "1", "iid": "\(number)", "type": "\(kind.rawValue)",
            "rate": "\(figures.rate)",
            "rate_max": "\(figures.highestRate)", "hrsp_1xx": "\(totals[.informational])", "hrsp_2xx": "\(totals[.successful])",
            "hrsp_3xx": "\(totals[.redirected])", "hrsp_4xx": "\(totals[.clientErrors])", "hrsp_5xx": "\(totals[.serverErrors])",
            "hrsp_other": "\(totals[.otherStatus])", "mode": "http", "wrew": "0", "eint": "0",
        ]
    }

    private static func frontend(_ listener: StatusReport.Listener, number: Int, _ report: StatusReport) -> [String: String] {
        let figures = listener.figures
        var row = common(listener.address, "FRONTEND", number, .frontend, figures)
        row["stot"] = "\(figures.totals[.sessions])"
        row["dreq"] = "0"
        row["ereq"] = "\(figures.totals[.refused])"
        row["status"] = report.isDraining ? "STOP" : "OPEN"
        row["sid"] = "0"
        row["rate_lim"] = "0"
        row["req_rate"] = "\(figures.rate)"
        row["req_rate_max"] = "\(figures.highestRate)"
        row["req_tot"] = "\(figures.totals[.requests])"
        row["conn_tot"] = "\(figures.totals[.sessions])"
        for column in ["comp_in", "comp_out", "comp_byp", "comp_rsp", "intercepted", "dcon", "dses", "cache_lookups", "cache_hits"] {
            row[column] = "0"
        }
        row["addr"] = listener.address
        return row
    }

    private static func server(_ member: StatusReport.PooledMember, place: Int, _ pool: StatusReport.Pool, number: Int) -> [String: String]
    {
        let status = member.status
        let totals = member.figures.totals
        let health = pool.status.configuration.health
        var row = common(pool.status.name, status.name, number, .server, member.figures)
        row.merge(upstream(totals), uniquingKeysWith: { $1 })
        row["qcur"] = "\(status.queued)"
        row["slim"] = status.maxConnections == 0 ? "" : "\(status.maxConnections)"
        row["stot"] = "\(status.requests)"
        row["lbtot"] = "\(status.requests)"
        row["status"] = HAProxyWords.state(status)
        row["weight"] = "\(Int(status.effectiveWeight.rounded()))"
        row["uweight"] = "\(status.weight)"
        row["act"] = status.isBackup ? "0" : "1"
        row["bck"] = status.isBackup ? "1" : "0"
        row["chkfail"] = "\(status.checksFailed)"
        row["chkdown"] = "\(status.downs)"
        row["lastchg"] = "\(status.secondsInState)"
        row["downtime"] = "\(status.secondsDown)"
        row["sid"] = "\(place)"
        row["req_tot"] = "\(totals[.requests])"
        row["cli_abrt"] = "\(totals[.clientAborts])"
        row["srv_abrt"] = "\(totals[.serverFailures])"
        row["addr"] = status.address
        row["cookie"] = status.route ?? ""
        row["check_rise"] = "\(health.rise)"
        row["check_fall"] = "\(health.fall)"
        row["check_health"] = status.standing.isUp ? "\(health.rise + health.fall - 1)" : "0"
        row["used_conn_cur"] = "\(member.figures.current)"
        if status.effectiveWeight > 0, status.standing == .up, status.weight > 0 {
            let percent = Int((status.effectiveWeight * 100 / Double(status.weight)).rounded())
            if percent < 100 { row["throttle"] = "\(max(percent, 1))" }
        }
        if let check = status.check {
            let words = HAProxyWords.check(check, expected: health.expect)
            row["check_status"] = words.status
            row["check_code"] = words.code
            row["check_duration"] = "\(check.milliseconds)"
            row["check_desc"] = words.description
            row["last_chk"] = check.outcome
        } else {
            row["check_status"] = "INI"
            row["check_desc"] = "Initializing"
        }
        return row
    }

    private static func backend(_ pool: StatusReport.Pool, number: Int, uptime: Int) -> [String: String] {
        let totals = pool.figures.totals
        let usable = pool.servers.filter { $0.status.standing.isUp }
        var row = common(pool.status.name, "BACKEND", number, .backend, pool.figures)
        row.merge(upstream(totals), uniquingKeysWith: { $1 })
        row["qcur"] = "\(pool.status.queued)"
        row["stot"] = "\(totals[.requests])"
        row["dreq"] = "0"
        row["lbtot"] = "\(pool.servers.reduce(0) { $0 + $1.status.requests })"
        row["status"] = pool.usable > 0 ? "UP" : "DOWN"
        row["weight"] = "\(Int(usable.reduce(0) { $0 + $1.status.effectiveWeight }.rounded()))"
        row["uweight"] = "\(usable.reduce(0) { $0 + $1.status.weight })"
        row["act"] = "\(usable.count { !$0.status.isBackup })"
        row["bck"] = "\(usable.count { $0.status.isBackup })"
        row["chkdown"] = "\(pool.servers.map(\.status.downs).min() ?? 0)"
        row["lastchg"] = "\(pool.servers.map(\.status.secondsInState).min() ?? uptime)"
        row["downtime"] = "\(pool.servers.map(\.status.secondsDown).min() ?? 0)"
        row["sid"] = "0"
        row["req_tot"] = "\(totals[.requests])"
        row["cli_abrt"] = "\(totals[.clientAborts])"
        row["srv_abrt"] = "\(totals[.serverFailures])"
        row["algo"] = pool.status.configuration.balance.word
        for column in ["comp_in", "comp_out", "comp_byp", "comp_rsp", "cache_lookups", "cache_hits"] { row[column] = "0" }
        return row
    }

    private static func upstream(_ totals: TrafficTotals) -> [String: String] {
        [
            "econ": "\(totals[.connectFailures])", "eresp": "\(totals[.serverFailures])", "wretr": "\(totals[.retries])",
            "wredis": "\(totals[.redispatches])",
        ]
    }
}

extension StatsTable.Filter {
    fileprivate func takes(_ number: Int, named proxyName: String, _ kind: StatsTable.RowKind) -> Bool {
        (proxy == -1 || proxy == number) && (name == nil || name == proxyName) && (kinds == -1 || kinds & (1 << kind.rawValue) != 0)
    }
}
