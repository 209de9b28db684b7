// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Logging
import Reactor

/// What all loops are given alike. Immutable: another configuration is another object, swapped whole on each loop between two events, and
/// what is under way keeps the one that it began with.
final class LoopSettings: Sendable {
    let limits: BalancerLimits
    let times: DeadlineTimes
    let routes: RouteTable
    let trustedProxies: [AddressRange]
    let cookies: StickyCookies
    /// The header lines of the security preset, for answers of our own.
    let securityLines: [UInt8]
    let accessLog: AccessLog
    let shared: LoopServices

    init(_ configuration: BalancerConfiguration, routes: RouteTable, formerCookies: [String] = [], services: LoopServices) {
        limits = configuration.limits
        times = DeadlineTimes(configuration.limits)
        self.routes = routes
        trustedProxies = configuration.trustedProxies
        cookies = StickyCookies(current: configuration.stickyCookies, former: formerCookies)
        securityLines = HeaderPlan.lines(of: configuration.securityHeaders)
        accessLog = AccessLog(configuration, logger: services.logger, writeLine: services.writeAccessLine)
        shared = services
    }

    var metrics: BalancerMetrics { shared.metrics }
    var admission: UpgradeAdmission { shared.admission }
    var logger: Logger { shared.logger }
    var directory: LoopBound<PoolDirectory> { shared.directory }
    var metricsPage: @Sendable () -> String { shared.metricsPage }
}

/// What outlives every configuration: it counts, or it belongs to the process.
final class LoopServices: Sendable {
    /// Of all loops.
    let sessions = SessionCount()
    let metrics: BalancerMetrics
    let admission: UpgradeAdmission
    let logger: Logger
    /// Takes lines of the access log in HAProxy's format; nil: the logger does.
    let writeAccessLine: (@Sendable ([UInt8]) -> Void)?
    let metricsPage: @Sendable () -> String
    /// The name of this balancer.
    let instance: String
    let tallies: TallyBook
    let connectionCap = ConnectionCap()
    let socketRest = SocketRest()
    /// On the control loop, where the admin listener is too.
    let directory: LoopBound<PoolDirectory>

    init(
        metrics: BalancerMetrics,
        admission: UpgradeAdmission,
        logger: Logger,
        writeAccessLine: (@Sendable ([UInt8]) -> Void)?,
        metricsPage: @escaping @Sendable () -> String,
        instance: String,
        tallies: TallyBook,
        directory: LoopBound<PoolDirectory>
    ) {
        self.metrics = metrics
        self.admission = admission
        self.logger = logger
        self.writeAccessLine = writeAccessLine
        self.metricsPage = metricsPage
        self.instance = instance
        self.tallies = tallies
        self.directory = directory
    }

    /// A connect to a server failed, which the directory takes as a sign.
    func connectFailed(_ server: PooledServer) {
        let directory = directory
        directory.loop.post { directory.value.connectFailed(server) }
    }

    /// A server said so in an answer, before a check or the registry did.
    func announcedDraining(_ server: PooledServer) {
        let directory = directory
        directory.loop.post { directory.value.announcedDraining(server) }
    }
}
