// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Crypto
import Reactor
import Wire

/// Who may see and change what. Confined to the control loop, owned by the site.
final class AdminGate {
    private var users: AdminUsers
    /// Host names that lead here by themselves; nil where users prove who they are.
    private var localNames: Set<String>?
    private let bind: Endpoint?
    /// Under the tokens in forms; ends with the process, and so do they.
    private let formKey = SymmetricKey(size: .bits256)
    private var addresses = LoginThrottle()
    /// By name, for guesses that come from many addresses at once.
    private var names = LoginThrottle(attempts: LoginThrottle.attemptsOfName)
    /// From where a user has shown the right password: strangers who guess his name don't keep him out there.
    private var familiar: Set<String> = []
    private static let mostFamiliar = 1_024

    init(_ users: AdminUsers, bind: Endpoint?) {
        self.users = users
        self.bind = bind
        localNames = Self.localNames(users, bind)
    }

    /// Others from now on; who showed a password that counts no more is asked at the next request.
    func adopt(_ users: AdminUsers) {
        self.users = users
        localNames = Self.localNames(users, bind)
    }

    private static func localNames(_ users: AdminUsers, _ bind: Endpoint?) -> Set<String>? {
        guard users.isEmpty else { return nil }
        var names: Set<String> = ["localhost", "[::1]"]
        if case .tcp(let host, _)? = bind?.kind, !host.isEmpty { names.insert(host.contains(":") ? "[\(host)]" : host.lowercased()) }
        return names
    }

    /// The visitor, or what to answer instead.
    func admit(_ request: AdminRequest, at now: UInt64) -> Result<AdminVisitor, Refused> {
        if let localNames {
            // Somebody else's name that resolves to loopback (DNS rebinding): a page in the operator's browser is asking.
            guard let host = request.host, Self.isLocal(host, localNames) else {
                let detail = "this host name is not the balancer's own; ask at localhost or 127.0.0.1, or configure admin.users"
                return .failure(Refused(.problem(403, code: "host_not_allowed", detail)))
            }
        }
        if !request.method.isSafe, let refusal = crossSite(request) { return .failure(Refused(refusal)) }
        guard localNames == nil else { return .success(.local) }
        let address = request.peer.map(Self.place) ?? ""
        if let seconds = addresses.wait(of: address, at: now) { return .failure(Self.tooMany("from this address", seconds)) }
        guard let authorization = request.authorization else {
            return .failure(Refused(Self.challenge("who are you? This needs a user's name and password")))
        }
        let shown = BasicCredentials(authorization)
        // A name can be as long as a head; its hash can't.
        let name = "\(shown?.name.hashValue ?? 0)"
        let acquaintance = "\(name) \(address)"
        if !familiar.contains(acquaintance), let seconds = names.wait(of: name, at: now) {
            return .failure(Self.tooMany("for this name", seconds))
        }
        guard let shown, let visitor = users.visitor(showing: shown) else {
            addresses.failed(address, at: now)
            names.failed(name, at: now)
            let isLast = addresses.wait(of: address, at: now) != nil || names.wait(of: name, at: now) != nil
            return .failure(Refused(Self.challenge("the name or the password is wrong"), login: isLast ? .lastAttempt : .wrong))
        }
        if familiar.count >= Self.mostFamiliar { familiar = [] }
        familiar.insert(acquaintance)
        return .success(visitor)
    }

    private static func tooMany(_ whose: String, _ seconds: Int) -> Refused {
        let detail = "too many wrong passwords \(whose); try again in \(seconds) s"
        return Refused(.problem(429, code: "too_many_attempts", detail).with("Retry-After", "\(seconds)"), login: .limited)
    }

    /// An answer instead of a visitor.
    struct Refused: Error {
        /// A password that was wrong, or came when no more were taken.
        enum Login {
            case wrong, lastAttempt, limited
        }

        let answer: AdminAnswer
        let login: Login?

        init(_ answer: AdminAnswer, login: Login? = nil) {
            self.answer = answer
            self.login = login
        }
    }

    private static func challenge(_ detail: String) -> AdminAnswer {
        .problem(401, code: "unauthorized", detail).with("WWW-Authenticate", "Basic realm=\"balancer\", charset=\"UTF-8\"")
    }

    /// Browsers say where a request comes from; programs say nothing, and are believed.
    private func crossSite(_ request: AdminRequest) -> AdminAnswer? {
        let isForeign: Bool
        if let origin = request.origin, let host = request.host {
            let parts = origin.split(separator: "/", omittingEmptySubsequences: false)
            isForeign = parts.count != 3 || parts[2].lowercased() != host.lowercased()
        } else if let site = request.fetchSite {
            isForeign = site != "same-origin" && site != "none"
        } else {
            isForeign = request.origin != nil
        }
        guard isForeign else { return nil }
        return .problem(403, code: "cross_site", "changes are taken from the balancer's own pages and from programs, not from other sites")
    }

    private static func isLocal(_ host: String, _ names: Set<String>) -> Bool {
        var name = host.lowercased()
        if let colon = name.lastIndex(of: ":"), name[name.index(after: colon)...].allSatisfy(\.isNumber), !name.hasSuffix("]") {
            name = String(name[..<colon])
        }
        if names.contains(name) { return true }
        guard case .v4(let address, _)? = SocketAddress(numeric: name, port: 0) else { return false }
        return address >> 24 == 127
    }

    /// The address without its port; of IPv6 the /64, which one machine has whole.
    private static func place(_ address: SocketAddress) -> String {
        switch address {
        case .v4, .unix: address.host
        case .v6(let bytes, _, _): ByteText.hex(bytes.prefix(8))
        }
    }

    // MARK: Forms

    /// For a hidden field of the visitor's forms: only a page of this process could have told it.
    func formToken(for visitor: AdminVisitor) -> String {
        ByteText.base64URL(Array(HMAC<SHA256>.authenticationCode(for: Array("form \(visitor.name)".utf8), using: formKey)))
    }

    func isValid(formToken: String?, of visitor: AdminVisitor) -> Bool {
        guard let formToken, let bytes = Base64Text.decode(Array(formToken.utf8).span) else { return false }
        return HMAC<SHA256>.isValidAuthenticationCode(bytes, authenticating: Array("form \(visitor.name)".utf8), using: formKey)
    }
}
