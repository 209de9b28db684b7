// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Testing

/// Every key with values that are refused: by line, key and remedy, and all of a file's at once.
@Suite struct ConfigurationFaultTests {
    /// What `ConfigurationFolder.least` puts before the text: the line on which the text begins.
    private enum Place: Int {
        case listener = 3
        case pool = 7
        case top = 8
    }

    private func faults(_ text: String) -> [ConfigurationFault] {
        do throws(BalancerError) {
            _ = try ConfigurationFile.parse(text, path: "b.yaml")
            return []
        } catch {
            return error.faults
        }
    }

    /// One fault is expected, at the text's first line unless `line` says how many further down, and with `words` in it.
    private func expect(
        _ place: Place,
        _ text: String,
        _ key: String,
        _ words: String = "",
        line: Int = 0,
        _ location: SourceLocation = #_sourceLocation
    ) {
        let file: String
        let prefix: String
        switch place {
        case .listener: (file, prefix) = (ConfigurationFolder.least(listener: text), "listeners[0].")
        case .pool: (file, prefix) = (ConfigurationFolder.least(pool: text), "pools.web.")
        case .top: (file, prefix) = (ConfigurationFolder.least("\n" + text), "")
        }
        let found = faults(file)
        #expect(found.map(\.key) == [prefix + key], "\(text): \(found)", sourceLocation: location)
        #expect(found.map(\.line) == [place.rawValue + line], "\(text): \(found)", sourceLocation: location)
        #expect(found.allSatisfy { $0.problem.contains(words) && $0.file == "b.yaml" }, "\(text): \(found)", sourceLocation: location)
    }

    @Test func faultyListeners() {
        expect(.listener, "redirect_https: 302", "redirect_https", "301")
        expect(.listener, "redirect_https: yes", "redirect_https", "none of: 301, 308")
        expect(.listener, "proxy_protocol: accept", "proxy_protocol", "trusted_proxies")
        expect(.listener, "proxy_protocol: v1", "proxy_protocol", "accept")
        expect(.listener, "hsts: { max_age: 1 }", "hsts", "tls")
        expect(.listener, "hsts: { max_age: -1 }", "hsts.max_age", "0 to")
        expect(.listener, "hsts: { max-age: 1 }", "hsts.max-age", "did you mean 'max_age'?")
        expect(.listener, "tls: {}", "tls.certificates", "is missing")
        expect(.listener, "tls: { certificates: [] }", "tls.certificates", "at least one")
        expect(.listener, "tls:\n  certificates: [{ pem: none.pem }]", "tls.certificates[0]", "none.pem", line: 1)
        expect(.listener, "tls: { certificates: [{ certificate: a }] }", "tls.certificates[0].key", "is missing")
        expect(.listener, "tls: { certificates: [{ pem: a, key: b }] }", "tls.certificates[0]", "leave out")
        expect(.listener, "bnd: 1", "bnd", "did you mean 'bind'?")
        expect(.listener, "certificate: 1", "certificate", "known here: bind, tls")
    }

    @Test func faultyTopLevels() {
        expect(.top, "listener: 1", "listener", "did you mean 'listeners'?")
        expect(.top, "admin: { bind: \"0.0.0.0:9100\" }", "admin.bind", "users and tls")
        expect(.top, "admin: { bind: \"localhost:9100\" }", "admin.bind", "numeric")
        expect(.top, "admin: { bind: \"127.0.0.1:8080\" }", "admin.bind", "already")
        let long = "/" + String(repeating: "x", count: 99)
        expect(.top, "admin: { socket: \(long) }", "admin.socket", "1 to 99 bytes")
        expect(.top, "admin: { bind: \"unix:\(long)\" }", "admin.bind", "1 to 99 bytes")
        expect(.top, "admin: { bind: \"unix:/run/a.sock\", socket: /run/a.sock }", "admin.socket", "already")
        expect(.top, "admin: { users: [{ password_file: x }] }", "admin.users[0].name", "is missing")
        expect(.top, "admin: { users: [{ name: x }] }", "admin.users[0].password_file", "is missing")
        expect(
            .top,
            "admin: { users: [{ name: x, password_file: /etc/hostname, role: admin }] }",
            "admin.users[0].role",
            "viewer, operator"
        )
        expect(.top, "admin: { users: [{ name: 'a:b', password_file: /etc/hostname }] }", "admin.users[0].name", "without a colon")
        expect(.top, "trusted_proxies: [10.0.0.0/33]", "trusted_proxies[0]", "10.0.0.0/8")
        expect(.top, "trusted_proxies: { a: b }", "trusted_proxies", "must be a list")
        expect(.top, "security_headers: strict", "security_headers", "off, classic, modern")
        expect(.top, "access_log: combined", "access_log", "json, httplog")
        expect(.top, "access_log: { sample: 2 }", "access_log.sample", "0 to 1")
        expect(.top, "access_log: { sample: most }", "access_log.sample", "no number")
        expect(.top, "user: no-such-user", "user", "there is no user")
        expect(.top, "group: no-such-group", "group", "there is no group")
        expect(.top, "user:", "user", "leave the key out")
        expect(.top, "limits: 5", "limits", "must be a mapping")
    }

    @Test func faultyPools() {
        expect(.pool, "balance: hash", "balance", "say what is hashed")
        expect(.pool, "balance: leastcon", "balance", "did you mean 'leastconn'?")
        expect(.pool, "balance: { hash: body }", "balance.hash", "query(NAME)")
        expect(.pool, "balance: { hash: query() }", "balance.hash", "no name")
        expect(.pool, "balance: { bounded_load: 2 }", "balance.hash", "is missing")
        expect(.pool, "balance: { hash: uri, bounded_load: 1 }", "balance.bounded_load", "above 1")
        expect(.pool, "sticky: { mode: passive, name: s }", "sticky.mode", "cookie, route, ip, header, query")
        expect(.pool, "sticky: { mode: ip, cookie: insert }", "sticky.cookie", "only for mode cookie")
        expect(.pool, "sticky: { mode: route }", "sticky.name", "is missing")
        expect(.pool, "sticky: { mode: route, name: 'a|b|c' }", "sticky.name", "COOKIE|PARAMETER")
        expect(.pool, "sticky: { mode: ip, name: a }", "sticky.name", "leave it out")
        expect(.pool, "sticky: { name: 'a b' }", "sticky.name", "begin with a letter")
        expect(.pool, "sticky: { max_idle: 1h, max_life: 1m }", "sticky.max_life", "max_idle")
        expect(.pool, "sticky: { on_down: die }", "sticky.on_down", "rebalance, fail")
        expect(.pool, "sticky: { on_down: rebalance, nofailover: true }", "sticky.nofailover", "leave one out")
        expect(.pool, "health: { path: readyz }", "health.path", "begins with /")
        expect(.pool, "health: { interval: 5 }", "health.interval", "10s")
        expect(.pool, "health: { interval: 0 }", "health.interval", "above 0")
        expect(.pool, "health: { interval: 1e3s }", "health.interval", "no duration")
        expect(.pool, "health: { expect: 99 }", "health.expect", "100 to 599")
        expect(.pool, "health: { fall: 0 }", "health.fall", "1 to")
        expect(.pool, "health:\n  interval: 1s\n  intervall: 1s", "health.intervall", "did you mean 'interval'?", line: 2)
        expect(.pool, "health: { websocket: {} }", "health.websocket.path", "is missing")
        expect(.pool, "passive: { max_fails: 0 }", "passive.max_fails", "1 to")
        expect(.pool, "passive: { max_ejected_percent: 101 }", "passive.max_ejected_percent", "0 to 100")
        expect(.pool, "on_marked_down: { paced: 500 }", "on_marked_down.paced", "500/s")
        expect(.pool, "on_marked_down: { paced: 10/m }", "on_marked_down.paced", "1/s")
        expect(.pool, "on_marked_down: drop", "on_marked_down", "paced, cut, keep")
        expect(.pool, "panic: maybe", "panic", "true or false")
        expect(.pool, "discover: [redis]", "discover", "api and gateway")
        expect(.pool, "discover: [consul]", "discover[0]", "redis")
        expect(.pool, "tls: { certificate: c.pem }", "tls", "belong together")
        expect(.pool, "tls: { ca: none.pem }", "tls.ca", "none.pem")
        expect(.pool, "error_pages: { 404: a.html }", "error_pages.404", "400, 403")
        expect(.pool, "error_pages: { 503: none.html }", "error_pages.503", "none.html can't be read")
    }

    @Test func faultyServers() {
        func server(_ text: String, _ key: String, _ words: String, _ location: SourceLocation = #_sourceLocation) {
            let file = "listeners: [':80']\npools:\n  web:\n    servers:\n      - { \(text) }\n"
            let found = faults(file)
            #expect(found.map(\.key) == ["pools.web.servers[0].\(key)"], "\(text): \(found)", sourceLocation: location)
            #expect(found.map(\.line) == [5] && found[0].problem.contains(words), "\(text): \(found)", sourceLocation: location)
        }
        server("address: 'h:1', weight: 257", "weight", "0 to 256")
        server("address: 'h:1', weight: -1", "weight", "0 to 256")
        server("address: 'h:1', weight: ten", "weight", "no whole number")
        server("address: 'h:1', maxconn: -1", "maxconn", "0 to")
        server("address: 'h:1', name: 'a b'", "name", "begin with a letter")
        server("address: 'h:1', route: a.b", "route", "no dot")
        server("address: 'h:1', backup: 1", "backup", "true or false")
        server("address: 'h:1', max_conn: 1", "max_conn", "did you mean 'maxconn'?")
        server("address: h", "address", "HOST:PORT")
        server("address: ':80'", "address", "no server's address")
        server("address: 'h:0'", "address", "no server's address")
        server("name: a", "address", "is missing")
    }

    @Test func faultyHeaders() {
        expect(.pool, "headers: { request: { set: { Connection: close } } }", "headers.request.set.Connection", "can't be changed")
        expect(.pool, "headers: { request: { remove: [Host] } }", "headers.request.remove[0]", "can't be changed")
        expect(.pool, "headers: { request: { add: { Content_Length: 5 } } }", "headers.request.add.Content_Length", "can't be changed")
        expect(.pool, "headers: { response: { add: { Transfer-Encoding: x } } }", "headers.response.add.Transfer-Encoding", "can't")
        expect(.pool, "headers: { response: { set: { 'a b': x } } }", "headers.response.set.a b", "no name")
        expect(.pool, "headers: { response: { set: { A: \"x\\r\\nB: y\" } } }", "headers.response.set.A", "control characters")
        expect(.pool, "headers: { response: { set: { A: x, a: y } } }", "headers.response.set.a", "twice")
        expect(.pool, "headers: { answer: {} }", "headers.answer", "known here: request, response")
    }

    @Test func faultyRoutesAndLimits() {
        expect(.top, "routes: [{ path: /, pool: weeb }]", "routes[0].pool", "did you mean 'web'?")
        expect(.top, "routes: [{ path: v1, pool: web }]", "routes[0].path", "begin with /")
        expect(.top, "routes: [{ path: '/a?b', pool: web }]", "routes[0].path", "neither")
        expect(.top, "routes: [{ pool: web }]", "routes[0].path", "is missing")
        expect(.top, "routes: [{ path: / }]", "routes[0].pool", "is missing")
        expect(.top, "routes: [{ path: /, pool: web, host: 'a:80' }]", "routes[0].host", "without a port")
        expect(.top, "routes: [{ path: /, pool: web, host: '*.a' }]", "routes[0].host", "* for every host")
        expect(.top, "routes: [{ path: /, pool: web, compression: br }]", "routes[0].compression", "gzip")
        expect(.top, "routes: [{ path: /, pool: web, rate_limit: { rate: 0/s } }]", "routes[0].rate_limit.rate", "above 0")
        expect(.top, "routes: [{ path: /, pool: web, rate_limit: { rate: 5 } }]", "routes[0].rate_limit.rate", "500/s")
        expect(.top, "routes: [{ path: /, pool: web, rate_limit: { key: user, rate: 5/s } }]", "routes[0].rate_limit.key", "token, ip")
        expect(.top, "limits: { header_bytes: 10 }", "limits.header_bytes", "1 KiB to 1 MiB")
        expect(.top, "limits: { header_bytes: 1TiB }", "limits.header_bytes", "32KiB")
        expect(.top, "limits: { connect: -1s }", "limits.connect", "no duration")
        expect(.top, "limits: { connect: 0 }", "limits.connect", "above 0")
        expect(.top, "limits: { connect: 99999d }", "limits.connect", "no duration")
        expect(.top, "limits: { upgrades_per_second: 0 }", "limits.upgrades_per_second", "1 to")
        expect(.top, "limits: { headers: 99999 }", "limits.headers", "1 to 10000")
        expect(.top, "limits: { conect: 1s }", "limits.conect", "did you mean 'connect'?")
    }

    @Test func allFaultsOfAFileComeAtOnceInItsOrder() {
        let found = faults(
            """
            listeners:
              - bind: 80
                redirect_https: 307
              - bind: ":81"
              - bind: ":81"
            pool: {}
            pools:
              a: { servers: [{ address: "h:1", weight: 300 }, { name: x, address: "h:2" }, { name: x, address: "h:3" }], panic: 7 }
              "b c": { servers: ["h:1"] }
              a: { servers: ["h:4"], slow_start: quick }
              d: {}
            routes:
              - { path: /, pool: z }
            limits: { headers: many }
            """
        )
        let places = found.map { "\($0.line ?? 0) \($0.key)" }
        #expect(
            places == [
                "2 listeners[0].bind", "5 listeners[2].bind", "6 pool", "8 pools.a", "9 pools.b c", "10 pools.a.slow_start",
                "11 pools.d.servers",
                "13 routes[0].pool", "14 limits.headers",
            ]
        )
        #expect(found.allSatisfy { $0.description.hasPrefix("b.yaml:\($0.line ?? 0): \($0.key): ") })
    }

    @Test func keysThatAreThereTwiceAreNamedWithBothLines() {
        let found = faults(ConfigurationFolder.least("pools: {}\nadmin: off", pool: "servers: []"))
        #expect(found.map(\.key) == ["pools"] && found.first?.line == 3 && found.first?.problem.contains("line 8") == true, "\(found)")
        let inner = faults(ConfigurationFolder.least(pool: "panic: on\n'panic': off\n\"panic\": on"))
        #expect(inner.map(\.key) == ["pools.web.panic", "pools.web.panic"] && inner.map(\.line) == [7, 8], "\(inner)")
    }

    @Test func faultyTLS() {
        let found = faults(ConfigurationFolder.least(listener: "tls: { certificates: [], minimum: \"1.1\", alpn: [h3], profile: old }"))
        let keys = ["alpn[0]", "certificates", "minimum", "profile"].map { "listeners[0].tls.\($0)" }
        #expect(found.map(\.key) == keys, "\(found)")
    }

    @Test func secretsInTheWrongPlaceAreNotRepeated() async throws {
        try await ConfigurationFolder.with { folder in
            try folder.write("k1:not-base64-hunter2\n", to: "bad.keys")
            try folder.write("\n", to: "empty.password")
            for text in [
                "sticky_keys_file: hunter2", "sticky_keys_file: bad.keys", "admin: { users: [{ name: a, password_file: hunter2 }] }",
                "admin: { users: [{ name: a, password: hunter2, password_file: empty.password }] }",
            ] {
                try folder.write(ConfigurationFolder.least(text))
                let error = #expect(throws: BalancerError.self) { try ConfigurationFile.read(folder.file) }
                #expect(error?.faults.isEmpty == false)
                #expect(error.map { !"\($0)".contains("hunter2") } == true, "\(text)")
            }
        }
    }

    @Test func aFaultyKeyOrCertificateIsFoundBeforeItIsUsed() async throws {
        try await ConfigurationFolder.with { folder in
            try await folder.writeExampleFiles()
            try folder.write("no certificate", to: "site.pem")
            try folder.write("no key", to: "client.key")
            try folder.write("", to: "sticky.keys")
            try folder.write(ConfigurationFolder.example)
            let error = #expect(throws: BalancerError.self) { try ConfigurationFile.read(folder.file) }
            let places = error?.faults.map { "\($0.line ?? 0) \($0.key)" }
            #expect(places == ["5 listeners[1].tls.certificates[0]", "23 pools.api.tls.certificate", "35 sticky_keys_file"])
        }
    }
}
