// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// `/server-status?auto`: what of Apache's mod_status and mod_proxy_balancer applies, under their keys. Workers are exchanges and tunnels
/// (busy) and connections that clients keep open (idle).
enum ServerStatusText {
    static func text(_ report: StatusReport) -> String {
        let uptime = max(report.uptime, 1)
        let bytes = report.bytesOut
        var lines = [
            "Total Accesses: \(report.requests)",
            "Total kBytes: \(bytes / 1024)",
            "Uptime: \(report.uptime)",
            "ServerUptimeSeconds: \(report.uptime)",
            "ReqPerSec: \(HTMLText.fixed(Double(report.requests) / Double(uptime), 6))",
            "BytesPerSec: \(HTMLText.fixed(Double(bytes) / Double(uptime), 3))",
            "BytesPerReq: \(HTMLText.fixed(Double(bytes) / Double(max(report.requests, 1)), 3))",
            "BusyWorkers: \(report.exchanges + report.tunnels)",
            "IdleWorkers: \(ServerStatusPage.idle(report))",
            "ConnsTotal: \(report.connections)",
        ]
        for (number, pool) in report.pools.enumerated() {
            lines.append("ProxyBalancer[\(number)]Name: balancer://\(pool.status.name)")
            for (index, server) in pool.servers.enumerated() {
                let worker = "ProxyBalancer[\(number)]Worker[\(index)]"
                lines.append("\(worker)Name: \(server.status.address)")
                lines.append("\(worker)Status: \(state(server.status))")
                lines.append("\(worker)Elected: \(server.status.requests)")
                lines.append("\(worker)Busy: \(server.status.exchanges + server.status.tunnels)")
                // From Apache's point of view: sent to the worker, received from it.
                lines.append("\(worker)Sent: \(server.figures.totals[.bytesIn] / 1024)K")
                lines.append("\(worker)Rcvd: \(server.figures.totals[.bytesOut] / 1024)K")
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// Apache's words.
    private static func state(_ status: ServerStatus) -> String {
        let spare = status.isBackup ? "Stby " : ""
        return switch status.standing {
        case .up: "Init \(spare)Ok"
        case .drain, .drained, .draining: "Init \(spare)Drn Ok"
        case .down, .ejected: "Init \(spare)Err"
        case .maint: "Init \(spare)Dis"
        }
    }
}
