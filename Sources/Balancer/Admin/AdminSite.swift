// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Logging
import Reactor
import Wire

/// Which answer belongs to which path. Confined to the control loop; shared by the admin listener's connections.
final class AdminSite {
    private let gate: AdminGate
    private let desk: AdminDesk
    private let host: BalancerLoop

    init(gate: AdminGate, desk: AdminDesk, host: BalancerLoop) {
        self.gate = gate
        self.desk = desk
        self.host = host
    }

    func adopt(_ users: AdminUsers) {
        gate.adopt(users)
    }

    /// `done` is called once, now or later, on this loop.
    func answer(_ request: AdminRequest, _ done: @escaping (AdminAnswer) -> Void) {
        guard let path = Path(request.path) else {
            done(refused(.notFound, request))
            return
        }
        guard path.methods.contains(request.method) else {
            let allowed = path.methods.map { "\($0.text)" }.joined(separator: ", ")
            host.settings.metrics.countRejected(Refusal.methodNotAllowed.rawValue)
            done(.problem(405, code: Refusal.methodNotAllowed.rawValue, "this path takes \(allowed)").with("Allow", allowed))
            return
        }
        // Whoever restarts us must be able to ask, by whatever name.
        if let page = path.probe {
            done(OwnPage.answer(to: page, host: host))
            return
        }
        switch gate.admit(request, at: host.loop.milliseconds) {
        case .failure(let refused):
            if let login = refused.login { note(login, request) }
            done(refused.answer)
        case .success(let visitor): answer(path, request, visitor, done)
        }
    }

    private func note(_ login: AdminGate.Refused.Login, _ request: AdminRequest) {
        host.settings.metrics.countRejectedLogin(isLimited: login == .limited)
        // Once for each run of guesses, not for each guess.
        guard login == .lastAttempt else { return }
        host.settings.logger.log(.warning, "too many wrong passwords", [.client: request.peer?.host ?? "-"])
    }

    private func refused(_ refusal: Refusal, _ request: AdminRequest) -> AdminAnswer {
        host.settings.metrics.countRejected(refusal.rawValue)
        return ErrorPage(refusal).answer(asHTML: request.prefersHTML)
    }

    private func answer(_ path: Path, _ request: AdminRequest, _ visitor: AdminVisitor, _ done: @escaping (AdminAnswer) -> Void) {
        guard request.method.isSafe || visitor.role == .operator else {
            done(.problem(403, code: "operator_only", "'\(visitor.name)' is a viewer; changes need a user with role: operator"))
            return
        }
        switch path {
        case .probe: break
        case .icon: done(.empty)
        case .home: done(.seeOther("/stats"))
        case .metrics: done(.text(desk.metricsPage(), type: "text/plain; version=0.0.4; charset=utf-8"))
        case .stats(.html): done(.page(StatsPage.page(desk.report())))
        case .stats(.csv): done(.text(StatsTable.csv(desk.report())))
        case .stats(.json): done(.json(StatsDocument.bytes(desk.report())))
        case .status:
            let report = desk.report()
            done(
                request.query.all.contains { $0.name == "auto" }
                    ? .text(ServerStatusText.text(report)) : .page(ServerStatusPage.page(report))
            )
        case .manager:
            done(request.method == .post ? manage(request, visitor) : managerPage(request, visitor))
        case .reload:
            desk.reload { done(Self.answer(toReload: $0)) }
        case .servers, .server:
            done(ServersResource(desk).answer(request, path))
        }
    }

    private static func answer(toReload faults: [String]?) -> AdminAnswer {
        guard let faults else {
            let detail = "this balancer was started from flags; start it with --config FILE to reload it"
            return .problem(409, code: "no_configuration_file", detail)
        }
        guard !faults.isEmpty else { return .json(Array("{\"status\":\"reloaded\"}\n".utf8)) }
        return .problem(
            422,
            code: BalancerError.Code.configurationInvalid.rawValue,
            "the configuration has faults, and nothing was changed",
            faults.map { .init(pointer: "", detail: $0) }
        )
    }

    // MARK: Manager

    private func managerPage(_ request: AdminRequest, _ visitor: AdminVisitor) -> AdminAnswer {
        let token = visitor.role == .operator ? gate.formToken(for: visitor) : nil
        return .page(ManagerPage.page(desk.report(), token: token, changed: request.query.first("changed"), fault: nil))
    }

    /// A form of the page: one server, and either the state of the button or the fields.
    private func manage(_ request: AdminRequest, _ visitor: AdminVisitor) -> AdminAnswer {
        guard request.contentType == "application/x-www-form-urlencoded" else {
            return .problem(415, code: "unsupported_media_type", "this page's forms are sent here; programs use PATCH /v1/servers")
        }
        let form = request.form
        guard gate.isValid(formToken: form.first("token"), of: visitor) else {
            return .problem(
                403,
                code: "form_token_invalid",
                "this form is from before the balancer's last start, or from elsewhere; load the page again"
            )
        }
        do throws(BalancerError) {
            let (pool, server) = (try ServerForm.required("pool", form), try ServerForm.required("server", form))
            try desk.perform(try ServerForm.commands(form), pool: pool, server: server)
            return .seeOther("/balancer-manager?changed=\(pool)/\(server)#\(pool)/\(server)")
        } catch {
            let page = ManagerPage.page(desk.report(), token: gate.formToken(for: visitor), changed: nil, fault: error.message)
            return .page(page, status: error.code == .unknownPool || error.code == .unknownServer ? 404 : 422)
        }
    }
}

extension AdminSite {
    /// What is here.
    enum Path {
        enum Format {
            case html, csv, json
        }

        case probe(OwnPage.Probe)
        case icon
        case home
        case metrics
        case stats(Format)
        case manager
        case status
        case servers
        case server(pool: String, name: String)
        case reload

        init?(_ path: String) {
            switch path {
            case "/livez": self = .probe(.livez)
            case "/readyz": self = .probe(.readyz)
            case "/health": self = .probe(.health)
            case "/favicon.ico": self = .icon
            case "/": self = .home
            case "/metrics": self = .metrics
            case "/stats", "/stats;", "/stats/": self = .stats(.html)
            case "/stats;csv", "/stats;csv;norefresh": self = .stats(.csv)
            case "/stats;json": self = .stats(.json)
            case "/balancer-manager", "/balancer-manager/": self = .manager
            case "/server-status", "/server-status/": self = .status
            case "/v1/servers": self = .servers
            case "/v1/reload": self = .reload
            default:
                let parts = path.split(separator: "/", omittingEmptySubsequences: false)
                guard parts.count == 5, parts[1] == "v1", parts[2] == "servers" else { return nil }
                // Names need no encoding, but may have one.
                let names = parts[3...].map { part in
                    let bytes = Array(part.utf8)
                    return QueryParameters.percentDecoded(0..<bytes.count, in: bytes.span, plusIsBlank: false)
                }
                self = .server(pool: names[0], name: names[1])
            }
        }

        var probe: OwnPage.Probe? {
            if case .probe(let probe) = self { probe } else { nil }
        }

        var methods: [HTTPMethod] {
            switch self {
            case .probe, .icon, .home, .metrics, .stats, .status: [.get, .head]
            case .manager, .servers: [.get, .head, .post]
            case .server: [.get, .head, .patch, .delete]
            case .reload: [.post]
            }
        }
    }
}
