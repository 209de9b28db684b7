// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor
import Wire

extension BalancerConfiguration {
    /// The cookies that are ours to set and to take off.
    var stickyCookies: [String] {
        pools.compactMap { $0.sticky?.mode == .cookie ? $0.sticky?.name : nil }
    }

    /// The routes as configured; else one pool takes everything, and pools named api and gateway get the product's own three.
    package func effectiveRoutes() throws(BalancerError) -> [RouteConfiguration] {
        if !routes.isEmpty { return routes }
        let names = Set(pools.map(\.name))
        if names == ["api", "gateway"] {
            return [
                RouteConfiguration(path: "/v1/watch", pool: "gateway"),
                RouteConfiguration(path: "/socket.io/", pool: "gateway"),
                RouteConfiguration(path: "/", pool: "api"),
            ]
        }
        guard let only = pools.first, pools.count == 1 else {
            throw BalancerError([ConfigurationFault("routes", "say which path goes to which of the \(pools.count) pools")])
        }
        return [RouteConfiguration(path: "/", pool: only.name)]
    }

    /// Refuses the whole if anything is wrong, and names everything that is.
    package func validate() throws(BalancerError) {
        let faults = faults
        if !faults.isEmpty { throw BalancerError(faults) }
    }

    /// Everything that can be judged without looking outside.
    package var faults: [ConfigurationFault] {
        var faults = FaultList()
        faults.require(!listeners.isEmpty, "listeners", "at least one address is needed")
        faults.require(!pools.isEmpty, "pools", "at least one pool is needed")
        judgeListeners(&faults)
        admin?.judge(&faults)
        var names: Set<String> = []
        for pool in pools {
            faults.require(names.insert(pool.name).inserted, "pools.\(pool.name)", "is there twice")
            pool.judge(&faults)
        }
        judgeCookies(&faults)
        for (index, route) in routes.enumerated() { route.judge("routes[\(index)]", pools: names, &faults) }
        if routes.isEmpty, !pools.isEmpty {
            do throws(BalancerError) { _ = try effectiveRoutes() } catch {
                for fault in error.faults { faults.add(fault.key, fault.problem) }
            }
        }
        accessLog.judge("access_log", &faults)
        limits.judge(&faults)
        return faults.all
    }

    private func judgeListeners(_ faults: inout FaultList) {
        var known: Set<Endpoint> = []
        for (index, listener) in listeners.enumerated() {
            let key = "listeners[\(index)]"
            listener.judge(key, &faults)
            // Several may ask for any free port.
            let isFixed = listener.bind.numeric?.port != 0
            faults.require(!isFixed || known.insert(listener.bind).inserted, "\(key).bind", "'\(listener.bind)' is there twice")
            faults.require(
                !listener.acceptsProxyProtocol || !trustedProxies.isEmpty,
                "\(key).proxy_protocol",
                "only trusted_proxies may send it, and none are listed"
            )
        }
        for (key, endpoint) in admin?.endpoints ?? [] {
            let isNew = endpoint.numeric?.port == 0 || known.insert(endpoint).inserted
            faults.require(isNew, key, "'\(endpoint)' is another listener's address already")
            faults.requireRoom(for: endpoint, key)
        }
    }

    /// Two pools that set one cookie would each break the other's pins.
    private func judgeCookies(_ faults: inout FaultList) {
        var owners: [String: String] = [:]
        for pool in pools {
            guard let sticky = pool.sticky, sticky.mode == .cookie else { continue }
            if let other = owners.updateValue(pool.name, forKey: sticky.name) {
                faults.add("pools.\(pool.name).sticky.name", "pool '\(other)' has the same cookie; give each its own")
            }
        }
    }
}

extension ListenerConfiguration {
    fileprivate func judge(_ key: String, _ faults: inout FaultList) {
        faults.require(bind.numeric != nil, "\(key).bind", "'\(bind)' is a name: write a numeric address, or :PORT for every address")
        faults.requireRoom(for: bind, "\(key).bind")
        tls?.judge("\(key).tls", &faults)
        if let redirectHTTPS {
            faults.require(redirectHTTPS == 301 || redirectHTTPS == 308, "\(key).redirect_https", "\(redirectHTTPS) is neither 301 nor 308")
            faults.require(tls == nil, "\(key).redirect_https", "is for listeners without tls")
        }
        if let hsts {
            faults.require(tls != nil, "\(key).hsts", "is for listeners with tls (RFC 6797 section 7.2)")
            faults.require(hsts.maxAge >= 0, "\(key).hsts.max_age", "must not be below 0")
        }
    }
}

extension ListenerTLS {
    fileprivate func judge(_ key: String, _ faults: inout FaultList) {
        faults.require(!certificates.isEmpty, "\(key).certificates", "at least one is needed")
        faults.require(!alpn.isEmpty, "\(key).alpn", "at least one protocol is needed")
    }
}

extension AdminConfiguration {
    /// Where it listens, by key.
    fileprivate var endpoints: [(key: String, endpoint: Endpoint)] {
        [("admin.bind", bind), ("admin.socket", socket.map(Endpoint.init(unix:)))].compactMap { key, endpoint in endpoint.map { (key, $0) }
        }
    }

    fileprivate func judge(_ faults: inout FaultList) {
        tls?.judge("admin.tls", &faults)
        var names: Set<String> = []
        for (index, user) in users.enumerated() {
            let key = "admin.users[\(index)].name"
            let isLegal = !user.name.isEmpty && user.name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != 0x3A }
            faults.require(isLegal, key, "'\(user.name)': a name has visible ASCII without a colon")
            faults.require(names.insert(user.name).inserted, key, "'\(user.name)' is there twice")
        }
        guard let bind else { return }
        faults.require(bind.numeric != nil, "admin.bind", "'\(bind)' is a name: write a numeric address")
        faults.require(
            bind.isLocal || !users.isEmpty && tls != nil,
            "admin.bind",
            "'\(bind)' can be reached from other machines: give it users and tls, or bind it to 127.0.0.1"
        )
    }
}

extension FaultList {
    fileprivate mutating func requireRoom(for endpoint: Endpoint, _ key: String) {
        guard case .unix(let path) = endpoint.kind else { return }
        let longest = ListenSocket.longestPath
        require((1...longest).contains(path.utf8.count), key, "'\(path)': the path of a Unix socket has 1 to \(longest) bytes here")
    }
}

extension Endpoint {
    /// Only this machine gets there.
    fileprivate var isLocal: Bool {
        numeric?.isLoopback ?? false
    }
}

extension AccessLogRule {
    fileprivate func judge(_ key: String, _ faults: inout FaultList) {
        faults.require((0...1).contains(sample), "\(key).sample", "\(sample) is not within 0 to 1")
    }
}

extension RouteConfiguration {
    fileprivate func judge(_ key: String, pools: Set<String>, _ faults: inout FaultList) {
        let near = NearestKey.find(pool, among: pools.sorted()).map { "; did you mean '\($0)'?" } ?? ""
        faults.require(pools.contains(pool), "\(key).pool", "there is no pool '\(pool)'\(near)")
        let isPath = path.hasPrefix("/") && path.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != 0x3F && $0 != 0x23 }
        faults.require(isPath, "\(key).path", "'\(path)' must begin with / and have neither blanks nor ? nor #")
        if let host, host != "*" {
            // An IPv6 address stands in brackets, as in the Host field.
            let name = host.hasPrefix("[") && host.hasSuffix("]") ? host.dropFirst().dropLast().replacing(":", with: "") : host[...]
            let isHost = ASCII.isToken(name) && !name.contains("*")
            faults.require(isHost, "\(key).host", "'\(host)' is no host name: write it without a port, or * for every host")
        }
        if let rateLimit {
            let isRate = rateLimit.rate > 0 && rateLimit.rate <= 1_000_000
            faults.require(isRate, "\(key).rate_limit.rate", "must be above 0 and at most a million a second")
            faults.require(
                (1...1_000_000).contains(rateLimit.burst),
                "\(key).rate_limit.burst",
                "\(rateLimit.burst) is not within 1 to 1000000"
            )
        }
        accessLog?.judge("\(key).access_log", &faults)
    }
}

extension BalancerLimits {
    func validate() throws(BalancerError) {
        var faults = FaultList()
        judge(&faults)
        try faults.settle()
    }

    fileprivate func judge(_ faults: inout FaultList) {
        let times: [(String, Duration)] = [
            ("header_timeout", headerTimeout), ("client_idle", clientIdle), ("connect", connect), ("response", response),
            ("tunnel_idle", tunnelIdle), ("server_idle", serverIdle), ("surplus_idle", surplusIdle), ("queue_timeout", queueTimeout),
            ("linger", linger), ("drain", drain), ("drain_tunnels", drainTunnels),
        ]
        for (name, time) in times { faults.require(time > .zero, "limits.\(name)", "must be above 0") }
        faults.require(
            (1024...1024 * 1024).contains(headerBytes),
            "limits.header_bytes",
            "\(headerBytes) is not within 1 KiB to 1 MiB"
        )
        faults.require((1...10_000).contains(headers), "limits.headers", "\(headers) is not within 1 to 10000")
        faults.require(upgradesPerSecond > 0, "limits.upgrades_per_second", "must be above 0")
        faults.require(drainPace > 0, "limits.drain_pace", "must be above 0")
        let counts = [
            ("connections_per_address", connectionsPerAddress), ("body_rate", bodyRate), ("queued", queued), ("linger_bytes", lingerBytes),
            ("idle_per_server", idlePerServer),
        ]
        for (name, count) in counts { faults.require(count >= 0, "limits.\(name)", "must not be below 0") }
        faults.require(bodyGrace >= .zero, "limits.body_grace", "must not be below 0")
    }
}
