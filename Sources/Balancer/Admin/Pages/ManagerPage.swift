// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// `/balancer-manager`: states, weights, limits and routes, to look at and to change.
enum ManagerPage {
    /// - Parameters:
    ///   - token: of the visitor's forms; nil for a viewer, who gets no forms.
    ///   - changed: `pool/server` of what a form has just changed.
    ///   - fault: why a form changed nothing.
    static func page(_ report: StatusReport, token: String?, changed: String?, fault: String?) -> HTMLPage {
        HTMLPage(
            title: "Balancer manager",
            current: .manager,
            note: StatsPage.note(report),
            content: message(report, changed, fault) + (token == nil ? viewerNote : "") + report.pools.map { pool($0, token) }.joined()
                + legend
        )
    }

    private static func message(_ report: StatusReport, _ changed: String?, _ fault: String?) -> String {
        if let fault { return "<p class=\"message bad\" role=\"alert\">Nothing was changed: \(HTMLText.escaped(fault))</p>" }
        guard let changed else { return "" }
        // Only of a server that is there: a link from elsewhere must not put words on this page.
        for pool in report.pools {
            for server in pool.servers where "\(pool.status.name)/\(server.status.name)" == changed {
                let state = server.status.standing.word.lowercased()
                return
                    "<p class=\"message good\" role=\"status\">\(HTMLText.escaped(changed)) was changed; it is in state \(state), weight \(server.status.weight).</p>"
            }
        }
        return ""
    }

    private static let viewerNote = "<p class=\"lead\">You may look; changes need a user with the role operator.</p>"

    private static func pool(_ pool: StatusReport.Pool, _ token: String?) -> String {
        let name = HTMLText.escaped(pool.status.name)
        let rows = pool.servers.map { row($0.status, pool: pool.status.name, token) }
        let change = token == nil ? "" : "<th scope=\"col\" class=\"name\">Change</th>"
        return """
            <h2>Pool \(name) \(HTMLPage.usable(pool)) <small>\(pool.status.configuration.balance.word)</small></h2>
            <div class="scroll" tabindex="0" role="region" aria-label="Servers of pool \(name)"><table class="controls">
            <thead><tr><th scope="col" class="name">Server</th><th scope="col" class="name">State</th><th scope="col">Running</th><th scope="col">Tunnels</th>\
            <th scope="col" class="name">Traffic</th><th scope="col">Weight</th><th scope="col">Connections</th><th scope="col" class="name">Route</th>\(change)</tr></thead>
            <tbody>\(rows.joined(separator: "\n"))</tbody>
            </table></div>
            """
    }

    private static func row(_ status: ServerStatus, pool: String, _ token: String?) -> String {
        let id = HTMLText.escaped("\(pool)/\(status.name)")
        let facts = """
            <tr id="\(id)"><th scope="row" class="name">\(HTMLText.escaped(status.name))\(originTag(status))\(HTMLPage.address(status))</th>\
            <td class="name">\(HTMLPage.badge(status)) \(HTMLText.duration(seconds: status.secondsInState))<small>\(StatsPage.explanation(status))</small></td>\
            <td>\(HTMLText.number(status.exchanges))</td><td>\(HTMLText.number(status.tunnels))</td>
            """
        let limit = status.maxConnections
        guard let token else {
            return """
                \(facts)<td class="name">\(status.administrative.rawValue)</td><td>\(status.weight)</td>\
                <td>\(limit == 0 ? "no limit" : "\(limit)")</td><td class="name">\(HTMLText.escaped(status.route ?? "none"))</td></tr>
                """
        }
        let hidden = """
            <input type="hidden" name="token" value="\(HTMLText.escaped(token))"><input type="hidden" name="pool" value="\(HTMLText.escaped(pool))">\
            <input type="hidden" name="server" value="\(HTMLText.escaped(status.name))">
            """
        let states = AdministrativeState.allCases.map { state in
            """
            <button name="state" value="\(state.rawValue)" aria-pressed="\(status.administrative == state)" aria-label="\(state.title) \(id)">\(state.title)</button>
            """
        }
        let form = "form=\"values-\(id)\""
        return """
            \(facts)<td class="name"><form method="post" action="/balancer-manager" class="choice">\(hidden)\(states.joined())</form></td>\
            <td><input \(form) name="weight" type="number" min="0" max="256" required value="\(status.weight)" aria-label="Weight of \(id)"></td>\
            <td><input \(form) name="maxconn" type="number" min="0" required value="\(limit)" aria-label="Connections of \(id) at most, 0 is no limit"></td>\
            <td class="name"><input \(form) class="text" name="route" maxlength="64" value="\(HTMLText.escaped(status.route ?? ""))" \
            placeholder="none" aria-label="Route of \(id)"></td>\
            <td class="name"><form method="post" action="/balancer-manager" id="values-\(id)">\(hidden)<button aria-label="Save the values of \(id)">Save</button></form></td></tr>
            """
    }

    private static func originTag(_ status: ServerStatus) -> String {
        var tags = status.isBackup ? ["backup"] : []
        if status.origin != .configured { tags.append(status.origin.rawValue) }
        return tags.map { "<span class=\"tag\">\($0)</span>" }.joined()
    }

    private static let legend = """
        <dl class="legend"><dt>Running</dt><dd>Requests that are being answered now.</dd>\
        <dt>Ready</dt><dd>Takes traffic, if its checks pass.</dd>\
        <dt>Drain</dt><dd>Serves the clients that are pinned to it until the deadline, nobody new; then its tunnels are closed one by one.</dd>\
        <dt>Maint</dt><dd>No traffic and no checks.</dd>\
        <dt>Weight</dt><dd>0 to 256; with 0 a server serves pinned clients only.</dd>\
        <dt>Connections</dt><dd>Requests and tunnels at once; 0 is no limit. What is above it waits in the pool's queue.</dd></dl>
        """
}

extension AdministrativeState {
    fileprivate var title: String {
        switch self {
        case .ready: "Ready"
        case .drain: "Drain"
        case .maint: "Maint"
        }
    }
}
