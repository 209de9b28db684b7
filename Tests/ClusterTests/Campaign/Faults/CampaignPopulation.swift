// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor
import TestSupport

/// All clients of a campaign. The clients are confined to its loop; the handle goes anywhere.
struct CampaignPopulation: Sendable {
    /// What the clients are made of.
    struct Plan: Sendable {
        /// Each is one subscription; a client in ten has three.
        var watchers: Int
        var environments: [String]
        var balancer: UInt16
        var gateways: [UInt16]
        var token: String
        /// May not read secrets.
        var blindToken: String
        var seed: UInt64
        /// Environments whose values are large: watched by few.
        var wide: Set<Int>
        /// The client that loses its nth frame.
        var seededBug: (client: Int, frame: Int)?
    }

    private let clients: LoopBound<[CampaignClient]>
    private let silence: LoopBound<LoopTimer>

    static func start(_ plan: Plan, on loop: Loop) async throws -> CampaignPopulation {
        try await loop.run {
            let clients = makeClients(plan, on: loop)
            for client in clients { client.connect() }
            let timer = loop.every(.seconds(5)) { for client in clients { client.checkSilence() } }
            return CampaignPopulation(clients: LoopBound(clients, loop: loop), silence: LoopBound(timer, loop: loop))
        }
    }

    private static func makeClients(_ plan: Plan, on loop: Loop) -> [CampaignClient] {
        var clients: [CampaignClient] = []
        var watcher = 0
        while watcher < plan.watchers {
            let number = clients.count
            // Neither secrets nor all names for everybody: each makes a group of its own in the gateway.
            let visibility = Visibility(prefix: number % 5 == 4 ? "K_1" : "", showsSecrets: number % 9 != 8)
            var environments = [place(watcher, plan)]
            if number % 10 == 9, watcher + 3 <= plan.watchers {
                environments += [(environments[0] + 1) % plan.environments.count, (environments[0] + 2) % plan.environments.count]
            }
            let subscriptions = Set(environments).sorted().map { environment in
                CampaignClient.Subscription(
                    path: plan.environments[environment],
                    log: WatchLog(watcher: number, environment: environment, visibility: visibility)
                )
            }
            watcher += subscriptions.count
            let client = CampaignClient(
                number: number,
                subscriptions: subscriptions,
                ports: number.isMultiple(of: 2) ? [plan.balancer] : plan.gateways,
                token: visibility.showsSecrets ? plan.token : plan.blindToken,
                seed: plan.seed,
                on: loop
            )
            if let bug = plan.seededBug, bug.client == number { client.losesFrame = bug.frame }
            client.isNarrow = !plan.wide.isDisjoint(with: environments)
            clients.append(client)
        }
        return clients
    }

    /// Round robin, with a third of the share for a wide one.
    private static func place(_ watcher: Int, _ plan: Plan) -> Int {
        let environment = watcher % plan.environments.count
        guard plan.wide.contains(environment), watcher / plan.environments.count % 3 != 0 else { return environment }
        return (environment + plan.wide.count) % plan.environments.count
    }

    private func onLoop<Value: Sendable>(_ body: @escaping @Sendable ([CampaignClient]) -> Value) async throws -> Value {
        let clients = clients
        return try await clients.loop.run { body(clients.value) }
    }

    /// Clients that lack one of these revisions, each the last that somebody with such eyes can see.
    func behind(_ goals: [Int: [Visibility: Int]]) async throws -> [String] {
        try await onLoop { clients in
            clients.flatMap { client in
                client.subscriptions.compactMap { own -> String? in
                    let goal = goals[own.log.environment]?[own.log.visibility] ?? 0
                    return own.revision < goal ? "client \(client.number) in \(own.path) at \(own.revision) of \(goal)" : nil
                }
            }
        }
    }

    func disconnect(_ numbers: [Int], byReset: Bool) async throws {
        try await onLoop { clients in
            for number in numbers { clients[number].disconnect(byReset: byReset) }
        }
    }

    func stall(_ numbers: [Int], for time: Duration) async throws {
        try await onLoop { clients in
            for number in numbers { clients[number].stall(for: time) }
        }
    }

    func resume(_ numbers: [Int]) async throws {
        try await onLoop { clients in
            for number in numbers { clients[number].resume() }
        }
    }

    func count() async throws -> Int {
        try await onLoop { $0.count }
    }

    /// Those that watch an environment.
    func clients(of environment: Int) async throws -> [Int] {
        try await onLoop { clients in
            clients.indices.filter { clients[$0].subscriptions.contains { $0.log.environment == environment } }
        }
    }

    func totals() async throws -> CampaignClient.Totals {
        try await onLoop { $0.reduce(into: CampaignClient.Totals()) { $0 += $1.totals } }
    }

    /// Ends every client and gives what they saw.
    func end() async throws -> [WatchLog] {
        let silence = silence
        return try await onLoop { clients in
            silence.value.cancel()
            for client in clients { client.stop() }
            return clients.flatMap { $0.subscriptions.map(\.log) }
        }
    }
}
