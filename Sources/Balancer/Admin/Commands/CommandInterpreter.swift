// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor

/// What one command does and says. Confined to the control loop, owned by its session.
final class CommandInterpreter {
    enum Outcome: Equatable {
        case text(String)
        case togglePrompt
        case quit
    }

    private let desk: AdminDesk

    init(_ desk: AdminDesk) {
        self.desk = desk
    }

    /// Texts end as HAProxy's do, before the empty line that its socket puts behind each.
    func run(_ words: [String]) -> Outcome {
        switch words.first {
        case "quit": return .quit
        case "prompt": return .togglePrompt
        case "help": return .text(CommandHelp.requested(Array(words.dropFirst())))
        case "show":
            if words.starts(with: ["show", "servers", "state"]) {
                return .text(ServersState.text(desk.report(), pool: word(3, of: words)) ?? "Can't find backend.\n")
            }
            if words.starts(with: ["show", "stat"]) { return .text(statistics(Array(words.dropFirst(2)))) }
            if words.starts(with: ["show", "info"]) { return .text(information(Array(words.dropFirst(2)))) }
        case "set":
            if words.starts(with: ["set", "server"]) { return .text(setServer(words)) }
        default:
            break
        }
        return .text(CommandHelp.unknown(words))
    }

    private func word(_ index: Int, of words: [String]) -> String? {
        index < words.count ? words[index] : nil
    }

    // MARK: show info, show stat

    /// HAProxy's other forms of `show info` and `show stat`. A script that asks for one would misread ours.
    private static let forms: Set = ["typed", "json", "desc"]

    private func information(_ words: [String]) -> String {
        if let form = words.first(where: Self.forms.contains) {
            return "'\(form)' is not offered here: show info is lines of 'Name: value'.\n"
        }
        return ProcessInfoText.text(desk.report())
    }

    /// `show stat [<proxy> <type> <server>] [up] [no-maint]`; a proxy by number or name.
    private func statistics(_ words: [String]) -> String {
        if let form = words.first(where: Self.forms.contains) {
            return "'\(form)' is not offered here: show stat is CSV; GET /stats;json of the admin listener is JSON.\n"
        }
        if words.first == "domain", words.dropFirst().first != "proxy" { return "Invalid domain. Only 'proxy' is offered here.\n" }
        let words = words.first == "domain" ? Array(words.dropFirst(2)) : words
        var filter = StatsTable.Filter()
        let report = desk.report()
        if words.count >= 3, let kinds = Int(words[1]), let server = Int(words[2]) {
            if let number = Int(words[0]) { filter.proxy = number } else { filter.name = words[0] }
            if let name = filter.name, !report.pools.contains(where: { $0.status.name == name }),
                !report.listeners.contains(where: { $0.address == name })
            {
                return "No such proxy.\n"
            }
            (filter.kinds, filter.server) = (kinds, server)
        }
        filter.onlyUp = words.contains("up")
        filter.withoutMaintenance = words.contains("no-maint")
        return StatsTable.csv(report, filter)
    }

    // MARK: set server

    private func setServer(_ words: [String]) -> String {
        let parts = (word(2, of: words) ?? "").split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else { return "Require 'backend/server'.\n" }
        let pools = desk.status()
        guard let pool = pools.first(where: { $0.name == parts[0] }) else { return "No such backend.\n" }
        guard let server = pool.servers.first(where: { $0.name == parts[1] }) else { return "No such server.\n" }
        switch word(3, of: words) {
        case "state":
            guard let state = word(4, of: words).flatMap(AdministrativeState.init) else {
                return "'set server <srv> state' expects 'ready', 'drain' and 'maint'.\n"
            }
            return perform(.state(state), pool, server)
        case "weight":
            guard let text = word(4, of: words) else { return "Require <weight> or <weight%>.\n" }
            let configured = pool.configuration.servers.first { $0.name == server.name }?.weight ?? server.weight
            switch WeightText.read(text, configured: configured) {
            case .failure(let fault): return fault.text
            case .success(let weight): return perform(.weight(weight), pool, server)
            }
        case .some, .none:
            return "usage: set server <backend>/<server> state | weight\n"
        }
    }

    private func perform(_ command: ServerCommand, _ pool: PoolStatus, _ server: ServerStatus) -> String {
        do throws(BalancerError) {
            try desk.perform(command, pool: pool.name, server: server.name)
            return ""
        } catch {
            return "\(error.message)\n"
        }
    }
}
