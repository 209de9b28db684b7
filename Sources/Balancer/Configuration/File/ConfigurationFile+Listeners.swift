// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor

/// The file's top level, and what faces clients and operators.
extension ConfigurationFile {
    static func balancer(_ root: FileValue) -> BalancerConfiguration? {
        let keys = [
            "listeners", "pools", "routes", "admin", "trusted_proxies", "security_headers", "access_log", "sticky_keys_file", "limits",
            "user",
            "group",
        ]
        guard let map = root.mapping(keys) else { return nil }
        let listeners = map.required("listeners", "list at least one address, such as \"0.0.0.0:80\"")?.list()?.map {
            $0.orPlaceholder(listener($0), ListenerConfiguration(bind: Endpoint(host: "", port: 0)))
        }
        let pools = map.required("pools", "name at least one pool with its servers")?.entries()?.compactMap { pool($0, $1) }
        var configuration = BalancerConfiguration(listeners: listeners ?? [], pools: pools ?? [])
        configuration.accessLog = AccessLogRule(.json)
        map.read("routes", into: &configuration.routes) {
            $0.list()?.map { $0.orPlaceholder(route($0), RouteConfiguration(path: "/", pool: "")) }
        }
        map.read("admin", into: &configuration.admin, admin)
        map.read("trusted_proxies", into: &configuration.trustedProxies) { $0.list()?.compactMap { $0.addressRange() } }
        map.read("security_headers", into: &configuration.securityHeaders) { $0.choice(SecurityHeaders.self) }
        map.read("access_log", into: &configuration.accessLog, accessLog)
        map.read("sticky_keys_file", into: &configuration.stickyKeysFile) { $0.path() }
        map.read("limits", into: &configuration.limits, limits)
        map.read("user", into: &configuration.user) { $0.text("a user's name") }
        map.read("group", into: &configuration.group) { $0.text("a group's name") }
        if let path = configuration.stickyKeysFile, let value = map["sticky_keys_file"] {
            configuration.stickyKeys = stickyKeys(path, value)
        }
        return configuration
    }

    /// Neither the keys nor the path are told: somebody may have written the keys where the path belongs.
    private static func stickyKeys(_ path: String, _ value: FileValue) -> StickyKeyRing? {
        do {
            return try StickyKeyRing(parsing: try FileContent.text(path, atMost: maximumBytes))
        } catch let error as FileContent.Failure {
            value.fault("the file with the keys can't be read: \(error.problem)")
        } catch let error as BalancerError {
            value.fault("the file with the keys can't be used: \(error.message)")
        } catch {
            value.fault("the file with the keys can't be used")
        }
        return nil
    }

    private static func listener(_ value: FileValue) -> ListenerConfiguration? {
        // An address alone is a plain listener.
        if !value.isMapping { return value.endpoint().map { ListenerConfiguration(bind: $0) } }
        guard let map = value.mapping(["bind", "tls", "redirect_https", "proxy_protocol", "hsts"]),
            let bind = map.required("bind", "the address to listen on, such as \"0.0.0.0:80\"")?.endpoint()
        else { return nil }
        var listener = ListenerConfiguration(bind: bind)
        map.read("tls", into: &listener.tls, listenerTLS)
        map.read("redirect_https", into: &listener.redirectHTTPS) { $0.choice([("301", 301), ("308", 308)]) }
        map.read("proxy_protocol", into: &listener.acceptsProxyProtocol) { $0.choice([("accept", true), ("off", false)]) }
        map.read("hsts", into: &listener.hsts, hsts)
        return listener
    }

    private static func hsts(_ value: FileValue) -> StrictTransportSecurity? {
        guard let map = value.mapping(["max_age", "include_subdomains"]) else { return nil }
        var hsts = StrictTransportSecurity()
        map.read("max_age", into: &hsts.maxAge) { $0.integer(0...3_153_600_000) }
        map.read("include_subdomains", into: &hsts.includeSubdomains) { $0.boolean() }
        return hsts
    }

    private static func listenerTLS(_ value: FileValue) -> ListenerTLS? {
        guard let map = value.mapping(["certificates", "minimum", "alpn", "profile", "client_ca"]),
            let certificates = map.required("certificates", "list { pem: FILE } or { certificate: FILE, key: FILE }")?.list()
        else { return nil }
        var tls = ListenerTLS(certificates: certificates.map { $0.orPlaceholder(certificate($0), .init(pem: "")) })
        map.read("minimum", into: &tls.minimum) { $0.choice(ListenerTLS.Version.self) }
        map.read("alpn", into: &tls.alpn) { $0.list()?.compactMap { $0.choice(ListenerTLS.ApplicationProtocol.self) } }
        map.read("profile", into: &tls.profile) { $0.choice(ListenerTLS.Profile.self) }
        map.read("client_ca", into: &tls.clientAuthorities) { $0.path() }
        return tls
    }

    private static func certificate(_ value: FileValue) -> ListenerTLS.Certificate? {
        guard value.isMapping else { return value.path().map { ListenerTLS.Certificate(pem: $0) } }
        guard let map = value.mapping(["pem", "certificate", "key"]) else { return nil }
        if let pem = map["pem"] {
            guard map["certificate"] == nil, map["key"] == nil else {
                value.fault("'pem' holds certificate and key: leave out 'certificate' and 'key'")
                return nil
            }
            return pem.path().map { ListenerTLS.Certificate(pem: $0) }
        }
        let file = map.required("certificate", "a PEM file, or 'pem' with certificate and key in one")?.path()
        let key = map.required("key", "the PEM file with the certificate's key")?.path()
        guard let file, let key else { return nil }
        return ListenerTLS.Certificate(certificate: file, key: key)
    }

    private static func admin(_ value: FileValue) -> AdminConfiguration? {
        guard let map = value.mapping(["bind", "tls", "socket", "users"]) else { return nil }
        var admin = AdminConfiguration()
        map.read("bind", into: &admin.bind) { $0.endpoint() }
        map.read("tls", into: &admin.tls, listenerTLS)
        map.read("socket", into: &admin.socket) { $0.path() }
        map.read("users", into: &admin.users) {
            $0.list()?.map { $0.orPlaceholder(user($0), .init(name: $0.key, passwordFile: "", role: .viewer)) }
        }
        return admin
    }

    private static func user(_ value: FileValue) -> AdminConfiguration.User? {
        guard let map = value.mapping(["name", "password_file", "role"]) else { return nil }
        let name = map.required("name", "the user's name")?.text("a user's name")
        let file = map.required("password_file", "a file whose first line is the password")?.path()
        var role = AdminConfiguration.Role.viewer
        map.read("role", into: &role) { $0.choice(AdminConfiguration.Role.self) }
        guard let name, let file else { return nil }
        return AdminConfiguration.User(name: name, passwordFile: file, role: role)
    }

    static func accessLog(_ value: FileValue) -> AccessLogRule? {
        guard value.isMapping else { return value.choice(AccessLogFormat.self).map { AccessLogRule($0) } }
        guard let map = value.mapping(["format", "sample"]) else { return nil }
        var rule = AccessLogRule(.json)
        map.read("format", into: &rule.format) { $0.choice(AccessLogFormat.self) }
        map.read("sample", into: &rule.sample) { $0.number() }
        return rule
    }
}
