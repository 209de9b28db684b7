// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Reactor
import Testing

/// The file as a whole: the contract's example, the least file, the defaults.
@Suite struct ConfigurationFileTests {
    @Test func theContractsExampleIsReadWhole() async throws {
        try await ConfigurationFolder.with { folder in
            try await folder.writeExampleFiles()
            try folder.write(ConfigurationFolder.example)
            let configuration = try ConfigurationFile.read(folder.file)
            let (plain, secure) = (configuration.listeners[0], configuration.listeners[1])
            #expect(plain.bind.description == "0.0.0.0:80" && plain.redirectHTTPS == 301 && plain.tls == nil)
            #expect(secure.bind == Endpoint(host: "::", port: 443) && secure.acceptsProxyProtocol)
            #expect(secure.hsts == StrictTransportSecurity(maxAge: 31_536_000, includeSubdomains: true))
            let (pem, own) = ("\(folder.path)/site.pem", "\(folder.path)/a")
            #expect(secure.tls?.certificates == [.init(pem: pem), .init(certificate: "\(own).crt", key: "\(own).key")])
            #expect(secure.tls?.minimum == .tls12 && secure.tls?.alpn == [.http2, .http11])
            #expect(configuration.admin?.bind?.description == "127.0.0.1:9100")
            #expect(configuration.admin?.socket == "/run/keyvane/balancer.sock")
            #expect(configuration.admin?.users == [.init(name: "ops", passwordFile: "\(folder.path)/ops.password", role: .operator)])
            #expect(configuration.trustedProxies.map(\.description) == ["10.0.0.0/8"])
            #expect(configuration.securityHeaders == .modern && configuration.accessLog == AccessLogRule(.json))
            #expect(configuration.stickyKeys != nil)
            #expect(configuration.pools.map(\.name) == ["api", "gateway"])

            let api = configuration.pools[0]
            #expect(api.balance == .roundRobin && api.sticky == StickyConfiguration(pool: "api"))
            #expect(api.health == HealthConfiguration() && api.passive == PassiveConfiguration() && api.slowStart == .seconds(30))
            #expect(api.servers.map(\.name) == ["web1", "backup1"] && api.servers.map(\.weight) == [10, 5])
            #expect(api.servers.map(\.maxConnections) == [100, 50] && api.servers.map(\.route) == ["first", nil])
            #expect(api.servers.map(\.isBackup) == [false, true] && api.servers[1].address.description == "unix:/run/x.sock")
            #expect(api.discover == [.redis] && api.tls?.authorities == "\(folder.path)/ca.pem")
            #expect(api.errorPages == [503: "\(folder.path)/maintenance.html"])

            let gateway = configuration.pools[1]
            #expect(gateway.balance == .hash(.query("environment"), boundedLoad: 1.25) && gateway.sticky?.name == "KEYVANE_GATEWAY")
            #expect(gateway.headers.response.set == [.init("X-Frame-Options", "DENY")] && gateway.headers.response.remove == ["Server"])
            #expect(gateway.headers.request.add == [.init("X-Edge", "a")])
            #expect(gateway.onMarkedDown == .paced(perSecond: 500))

            #expect(configuration.routes.map(\.path) == ["/v1/watch", "/socket.io/", "/"])
            #expect(configuration.routes[2].compresses && configuration.routes[0].host == "*")
            #expect(configuration.routes[2].rateLimit == RateLimitConfiguration(key: .token, rate: 100, burst: 200))
            // As shown are the defaults.
            #expect(configuration.limits == BalancerLimits())
        }
    }

    @Test func oneListenerOnePoolAndItsServersAreEnough() throws {
        let configuration = try ConfigurationFile.parse(ConfigurationFolder.least(), path: "/etc/balancer.yaml")
        #expect(configuration.listeners == [ListenerConfiguration(bind: Endpoint(host: "127.0.0.1", port: 8080))])
        #expect(
            configuration.pools == [
                PoolConfiguration(name: "web", servers: [.init(name: "web-1", address: Endpoint(host: "127.0.0.1", port: 8081))])
            ]
        )
        #expect(configuration.admin == AdminConfiguration() && configuration.trustedProxies.isEmpty)
        #expect(configuration.securityHeaders == .off && configuration.accessLog == AccessLogRule(.json))
        #expect(configuration.stickyKeys == nil && configuration.limits == BalancerLimits())
        #expect(configuration.user == nil && configuration.group == nil)
        #expect(try configuration.effectiveRoutes() == [RouteConfiguration(path: "/", pool: "web")])
        #expect(configuration.pools[0].sticky?.name == "KEYVANE_WEB")
        let shortest = try ConfigurationFile.parse("{listeners: ':80', pools: {web: {servers: 'h:1'}}}", path: "f")
        #expect(shortest.listeners[0].bind.description == ":80" && shortest.pools[0].servers[0].name == "web-1")
    }

    @Test func pathsAreRelativeToTheFile() throws {
        let text = ConfigurationFolder.least("admin: { socket: balancer.sock }")
        #expect(try ConfigurationFile.parse(text, path: "/etc/keyvane/b.yaml").admin?.socket == "/etc/keyvane/balancer.sock")
        #expect(try ConfigurationFile.parse(text, path: "b.yaml").admin?.socket == "balancer.sock")
        #expect(try ConfigurationFile.parse(text, path: "../b.yaml").admin?.socket == "../balancer.sock")
    }

    @Test func theRealFileIsNamedWhereItCantBeRead() async throws {
        try await ConfigurationFolder.with { folder in
            let error = #expect(throws: BalancerError.self) { try ConfigurationFile.read(folder.file) }
            #expect(error?.message == "\(folder.file): the file can't be read: No such file or directory")
            #expect(throws: BalancerError.self) { try ConfigurationFile.read(folder.path) }
            #expect(throws: BalancerError.self) { try ConfigurationFile.read("/dev/zero") }
        }
    }
}
