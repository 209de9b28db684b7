// Keyvane
// SPDX-License-Identifier: Apache-2.0

// `keyvane dev`: the whole cluster on one machine, as real processes.
// Flows through: a data folder's databases and secrets into process plans, those into running children, their addresses into the state file.
// Owner: the command owns the cluster from start to stop; the process group owns the children.
// Must hold: a dead child comes back on its old port; everything ends with dev, also at its kill -9; the data stays.

import AsyncHTTPClient
import Foundation
import Glibc
import Logging
import NIOCore
import NIOHTTP1
import Reactor

/// A running cluster. Immutable but for the process group, which is an actor.
struct DevCluster: Sendable {
    struct Plan: Sendable {
        var listen: Endpoint
        var apis: Int
        var gateways: Int
        var postgresURL: String?
        var redisURL: String?
        /// Our own program, to start the roles with.
        var program: String
        var environment: [String: String]
    }

    let processes: ProcessGroup
    let url: String
    let admin: String
    let token: String
    let apis: [Endpoint]
    let gateways: [Endpoint]
    let postgresURL: String
    let redisURL: String
    let ownsRedis: Bool
    private let ownsPostgres: Bool

    static func apiName(_ index: Int) -> String { "api-\(index + 1)" }
    static func gatewayName(_ index: Int) -> String { "gateway-\(index + 1)" }

    // MARK: Start

    /// Starts everything; the roles wait for their databases by themselves.
    static func start(_ plan: Plan, in folder: borrowing DataFolder, processes: ProcessGroup) async throws -> DevCluster {
        // All at once, so that no two are equal; 2 databases, 1 admin listener, then the roles.
        let ports = try freePorts(3 + plan.apis + plan.gateways, beside: plan.listen)
        var postgresURL = plan.postgresURL ?? ""
        if plan.postgresURL == nil {
            let postgres = try await PrivatePostgres(
                data: folder.path,
                password: folder.secrets.postgresPassword,
                port: ports[0],
                environment: plan.environment,
                on: processes.loop
            )
            try await processes.start(postgres.plan())
            postgresURL = postgres.url
        }
        var redisURL = plan.redisURL ?? ""
        if plan.redisURL == nil {
            let redis = try PrivateRedis(data: folder.path, password: folder.secrets.redisPassword, port: ports[1])
            try await processes.start(redis.plan(environment: plan.environment))
            redisURL = redis.url
        }
        let local = ports.dropFirst(2).map { Endpoint(host: "127.0.0.1", port: $0) }
        let (admin, apis, gateways) = (local[0], Array(local[1...plan.apis]), Array(local[(1 + plan.apis)...]))
        // Secrets travel in the environment: command lines can be read by everybody.
        let environment = plan.environment.merging([
            "KEYVANE_POSTGRES": postgresURL, "KEYVANE_REDIS": redisURL, "KEYVANE_MASTER_KEYS": folder.secrets.masterKeys,
            "KEYVANE_ROOT_TOKEN": folder.secrets.rootToken, "KEYVANE_STICKY_KEYS": folder.secrets.stickyKeys,
            // The balancer's.
            "KEYVANE_TRUSTED_PROXIES": "127.0.0.0/8,::1",
        ]) { _, own in own }
        func role(_ name: String, _ arguments: [String]) async throws {
            try await processes.start(ProcessPlan(name: name, arguments: [plan.program] + arguments, environment: environment))
        }
        for (index, endpoint) in apis.enumerated() {
            try await role(apiName(index), ["api", "--name", apiName(index), "--listen", endpoint.description])
        }
        for (index, endpoint) in gateways.enumerated() {
            try await role(gatewayName(index), ["gateway", "--name", gatewayName(index), "--listen", endpoint.description])
        }
        let pools = [
            "api=" + apis.enumerated().map { "\(apiName($0))@\($1)" }.joined(separator: ","),
            "gateway=" + gateways.enumerated().map { "\(gatewayName($0))@\($1)" }.joined(separator: ","),
        ]
        // A line for each request is of no use at a terminal, unless somebody wants to follow one.
        let accessLog = environment[Setting.accessLog.variable] == nil ? ["--access-log", "off"] : []
        try await role(
            "balancer",
            ["balancer", "--name", "balancer", "--listen", plan.listen.description, "--admin", admin.description] + accessLog
                + pools.flatMap { ["--pool", $0] }
        )
        return DevCluster(
            processes: processes,
            url: "http://\(reachable(plan.listen))",
            admin: "http://\(admin)",
            token: folder.secrets.rootToken,
            apis: apis,
            gateways: gateways,
            postgresURL: postgresURL,
            redisURL: redisURL,
            ownsRedis: plan.redisURL == nil,
            ownsPostgres: plan.postgresURL == nil
        )
    }

    /// Waits until every role answers that it can do its job.
    func waitUntilReady(within limit: Duration) async throws {
        let addresses = (apis + gateways).map { "http://\($0)" } + [url]
        let deadline = ContinuousClock.now + limit
        for address in addresses {
            while try await !isReady(address) {
                guard ContinuousClock.now < deadline else {
                    throw RunError("\(address) is not ready after \(limit); its messages above say why")
                }
                try await Task.sleep(for: .milliseconds(50))
            }
        }
    }

    /// A refused connection is an answer too: not yet.
    private func isReady(_ address: String) async throws -> Bool {
        try Task.checkCancellation()
        let answer = try? await HTTPClient.shared.execute(HTTPClientRequest(url: "\(address)/readyz"), timeout: .seconds(2))
        return answer?.status == .ok
    }

    // MARK: State

    /// Nil while a part is down: a pid of 0 would be somebody's whole process group.
    func state() async -> DevState? {
        func instances(_ endpoints: [Endpoint], _ name: (Int) -> String) async -> [DevState.Instance]? {
            var instances: [DevState.Instance] = []
            for (index, endpoint) in endpoints.enumerated() {
                guard let pid = await processes.identifier(of: name(index)) else { return nil }
                instances.append(DevState.Instance(name: name(index), address: endpoint.description, pid: pid))
            }
            return instances
        }
        guard let apis = await instances(apis, Self.apiName), let gateways = await instances(gateways, Self.gatewayName),
            let balancer = await processes.identifier(of: "balancer")
        else { return nil }
        let (postgres, redis) = (await processes.identifier(of: "postgres"), await processes.identifier(of: "redis"))
        guard postgres != nil || !ownsPostgres, redis != nil || !ownsRedis else { return nil }
        return DevState(
            url: url,
            token: token,
            console: "\(url)/console",
            admin: admin,
            balancer: DevState.Balancer(pid: balancer),
            apis: apis,
            gateways: gateways,
            postgres: DevState.Backend(url: postgresURL, pid: postgres),
            redis: DevState.Backend(url: redisURL, pid: redis)
        )
    }

    // MARK: Stop

    /// Roles first, so that their last transactions find their databases. SIGINT skips an API's drain delay: nobody is behind the balancer
    /// any more. 28 s here and 5 s for each database stay below the promised 40 s.
    func stop() async {
        let roles = apis.indices.map(Self.apiName) + gateways.indices.map(Self.gatewayName) + ["balancer"]
        await processes.stop(roles, signal: SIGINT, within: .seconds(28))
        await processes.stop(["redis"], within: .seconds(5))
        await processes.stop(["postgres"], within: .seconds(5))
    }

    // MARK: Ports

    /// The balancer's own is held meanwhile: a gateway that got it too would share it with the balancer, as loops share a port, unnoticed.
    private static func freePorts(_ count: Int, beside listen: Endpoint) throws -> [UInt16] {
        let held = try ListenSocket.open(listen)
        let sockets = try (0..<count).map { _ in try ListenSocket.open(Endpoint(host: "127.0.0.1", port: 0)) }
        return withExtendedLifetime(held) { sockets.compactMap { $0[0].address.port } }
    }

    /// A listener on every address is reached through loopback.
    private static func reachable(_ endpoint: Endpoint) -> String {
        switch endpoint.kind {
        case .tcp(let host, let port) where host.isEmpty || host == "0.0.0.0" || host == "::": "127.0.0.1:\(port)"
        case .tcp, .unix: endpoint.description
        }
    }
}
