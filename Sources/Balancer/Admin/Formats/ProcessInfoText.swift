// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// `show info`: those of HAProxy's keys that say something about this process, in its order. No product and no version.
enum ProcessInfoText {
    static func text(_ report: StatusReport) -> String {
        let uptime = report.uptime
        let clock = [uptime / 3600 % 24, uptime / 60 % 60, uptime % 60].map { $0 < 10 ? "0\($0)" : "\($0)" }
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        let descriptors = Int(clamping: limit.rlim_cur)
        let fields: [(String, String)] = [
            ("Name", "balancer"), ("Nbthread", "\(report.loops)"), ("Nbproc", "1"), ("Process_num", "1"), ("Pid", "\(report.processID)"),
            ("Uptime", "\(uptime / 86400)d \(clock[0])h\(clock[1])m\(clock[2])s"), ("Uptime_sec", "\(uptime)"), ("Memmax_MB", "0"),
            ("Ulimit-n", "\(descriptors)"), ("Maxsock", "\(descriptors)"), ("Maxconn", "\(descriptors / 2)"),
            ("CurrConns", "\(report.connections)"),
            ("CumConns", "\(report.listeners.reduce(0) { $0 + $1.figures.totals[.sessions] })"), ("CumReq", "\(report.requests)"),
            ("SessRate", "\(report.rate)"), ("MaxSessRate", "\(report.listeners.map(\.figures.highestRate).max() ?? 0)"),
            ("node", report.instance), ("Stopping", report.isDraining ? "1" : "0"),
            ("Jobs", "\(report.connections + report.listeners.count)"), ("Listeners", "\(report.listeners.count)"),
            ("TotalBytesOut", "\(report.bytesOut)"), ("Start_time_sec", "\(report.startedAt)"),
        ]
        return fields.map { "\($0.0): \($0.1)\n" }.joined()
    }
}
