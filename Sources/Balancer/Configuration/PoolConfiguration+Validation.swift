// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor
import Wire

extension PoolConfiguration {
    package func validate() throws(BalancerError) {
        var faults = FaultList()
        judge(&faults)
        try faults.settle()
    }

    static func validate(_ servers: [ServerConfiguration], pool: String) throws(BalancerError) {
        var faults = FaultList()
        judge(servers, "pools.\(pool)", &faults)
        try faults.settle()
    }

    func judge(_ faults: inout FaultList) {
        let key = "pools.\(name)"
        faults.require(NameRule.isValid(name), key, "'\(name)': \(NameRule.text)")
        Self.judge(servers, key, &faults)
        faults.require(
            discover.isEmpty || Self.discoverable.contains(name),
            "\(key).discover",
            "finds pools named \(Self.discoverable.joined(separator: " and ")) only"
        )
        if case .hash(let hash, let bound) = balance {
            if let name = hash.name { faults.require(ASCII.isToken(name), "\(key).balance.hash", "'\(name)' is no name") }
            if let bound {
                faults.require(bound > 1 && bound <= 100, "\(key).balance.bounded_load", "\(bound) is not above 1 (and at most 100)")
            }
        }
        sticky?.judge("\(key).sticky", &faults)
        health.judge("\(key).health", &faults)
        faults.require(passive.maxFails > 0, "\(key).passive.max_fails", "must be above 0")
        faults.require(passive.failTimeout > .zero, "\(key).passive.fail_timeout", "must be above 0")
        faults.require(
            (0...100).contains(passive.maxEjectedPercent),
            "\(key).passive.max_ejected_percent",
            "\(passive.maxEjectedPercent) is not within 0 to 100"
        )
        faults.require(slowStart >= .zero, "\(key).slow_start", "must not be below 0")
        if case .paced(let perSecond) = onMarkedDown {
            faults.require(perSecond > 0, "\(key).on_marked_down.paced", "must be above 0")
        }
        if let tls {
            faults.require((tls.certificate == nil) == (tls.key == nil), "\(key).tls", "'certificate' and 'key' belong together: give both")
        }
        headers.judge("\(key).headers", &faults)
        for status in errorPages.keys.sorted() {
            faults.require(ErrorPages.statuses.contains(status), "\(key).error_pages.\(status)", ErrorPages.rule)
        }
    }

    /// The roles of instances that serve requests.
    private static let discoverable = ["api", "gateway"]

    private static func judge(_ servers: [ServerConfiguration], _ pool: String, _ faults: inout FaultList) {
        var names: Set<String> = []
        var routes: Set<String> = []
        for (index, server) in servers.enumerated() {
            let key = "\(pool).servers[\(index)]"
            faults.require(NameRule.isValid(server.name), "\(key).name", "'\(server.name)': \(NameRule.text)")
            faults.require(names.insert(server.name).inserted, "\(key).name", "'\(server.name)' is there twice")
            faults.require((0...256).contains(server.weight), "\(key).weight", "\(server.weight) is not within 0 to 256")
            faults.require(server.maxConnections >= 0, "\(key).maxconn", "must not be below 0")
            if case .tcp(let host, let port) = server.address.kind {
                faults.require(
                    !host.isEmpty && port > 0,
                    "\(key).address",
                    "'\(server.address)' is no server's address: write HOST:PORT, [IPV6]:PORT or unix:/PATH"
                )
            }
            guard let route = server.route else { continue }
            faults.require(NameRule.isValid(route) && !route.contains("."), "\(key).route", "'\(route)': \(NameRule.text); no dot here")
            faults.require(routes.insert(route).inserted, "\(key).route", "'\(route)' is there twice")
        }
    }
}

extension HashKey {
    fileprivate var name: String? {
        switch self {
        case .uri, .path, .ip: nil
        case .query(let name), .header(let name), .cookie(let name): name
        }
    }
}

extension StickyConfiguration {
    fileprivate func judge(_ key: String, _ faults: inout FaultList) {
        switch mode {
        case .cookie: faults.require(NameRule.isValid(name), "\(key).name", "'\(name)': \(NameRule.text)")
        case .passive, .route, .header, .query:
            faults.require(ASCII.isToken(name), "\(key).name", "'\(name)' is no name of a cookie, field or parameter")
        case .ip: break
        }
        if let parameter { faults.require(ASCII.isToken(parameter), "\(key).name", "'\(parameter)' is no name of a parameter") }
        faults.require(maxIdle > .seconds(1), "\(key).max_idle", "must be above 1s")
        faults.require(maxLife >= maxIdle, "\(key).max_life", "must not be below max_idle")
    }
}

extension HealthConfiguration {
    fileprivate func judge(_ key: String, _ faults: inout FaultList) {
        for (name, path) in [("path", path), ("websocket.path", webSocketPath ?? "/")] {
            let isPath = path.hasPrefix("/") && path.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
            faults.require(isPath, "\(key).\(name)", "'\(path)' must be a path that begins with /")
        }
        faults.require((100...599).contains(expect), "\(key).expect", "\(expect) is no status")
        faults.require(interval > .zero, "\(key).interval", "must be above 0")
        faults.require(timeout > .zero, "\(key).timeout", "must be above 0")
        faults.require(fall > 0, "\(key).fall", "must be above 0")
        faults.require(rise > 0, "\(key).rise", "must be above 0")
    }
}

/// Names become cookie names, metric labels and words of a command line.
enum NameRule {
    static let text = "names have 1 to 64 of A-Z a-z 0-9 . _ -, and begin with a letter or digit"

    static func isValid(_ name: String) -> Bool {
        guard let first = name.utf8.first, isAlphanumeric(first), name.utf8.count <= 64 else { return false }
        return name.utf8.allSatisfy { isAlphanumeric($0) || $0 == 0x2E || $0 == 0x5F || $0 == 0x2D }
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        byte &- 0x30 < 10 || (byte | 0x20) &- 0x61 < 26
    }
}
