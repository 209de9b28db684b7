// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// `show servers state`, version 1: what HAProxy writes to its state file.
enum ServersState {
    private static let header = """
        # be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_time_since_last_change \
        srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port \
        srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port
        """

    /// nil where there is no such pool.
    static func text(_ report: StatusReport, pool name: String?) -> String? {
        var lines = ["1", header]
        var isFound = name == nil
        for (index, pool) in report.pools.enumerated() where name == nil || name == pool.status.name {
            isFound = true
            for (place, member) in pool.servers.enumerated() {
                lines.append(line(member.status, place: place + 1, pool, number: StatsTable.number(ofPool: index, report)))
            }
        }
        return isFound ? lines.joined(separator: "\n") + "\n" : nil
    }

    private static func line(_ status: ServerStatus, place: Int, _ pool: StatusReport.Pool, number: Int) -> String {
        let health = pool.status.configuration.health
        let configured = pool.status.configuration.servers.first { $0.name == status.name }?.weight ?? status.weight
        let check = status.check.map { HAProxyWords.check($0, expected: health.expect).number } ?? 1
        let result = status.check.map { $0.outcome == "draining" ? 4 : $0.passed ? 3 : 2 } ?? 0
        let isChecked = status.administrative != .maint
        let (address, port) = Self.split(status.address)
        let fields: [String] = [
            "\(number)", pool.status.name, "\(place)", status.name, address, "\(HAProxyWords.operationalState(status))",
            "\(HAProxyWords.administrativeState(status))", "\(status.weight)", "\(configured)", "\(status.secondsInState)",
            "\(check)", "\(result)", status.standing.isUp ? "\(health.rise + health.fall - 1)" : "0",
            // Configured and enabled; paused in maintenance.
            isChecked ? "6" : "14", "0", "0", "0", "-", port, "-", pool.status.configuration.tls == nil ? "0" : "1", "0", "-", "-", "0",
        ]
        return fields.joined(separator: " ")
    }

    /// A Unix socket has no port.
    private static func split(_ address: String) -> (String, String) {
        guard !address.hasPrefix("unix:"), let colon = address.lastIndex(of: ":") else { return (address, "0") }
        let host = address[..<colon]
        let bare = host.hasPrefix("[") && host.hasSuffix("]") ? String(host.dropFirst().dropLast()) : String(host)
        return (bare, String(address[address.index(after: colon)...]))
    }
}
