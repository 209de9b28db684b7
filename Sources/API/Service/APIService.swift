// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdCore
package import Logging
package import Metrics
import NIOCore
package import Notifier
import ServiceLifecycle
package import Store
import Synchronization

// The REST role. A request passes, from the outside in: RequestIdentityMiddleware (its id), ObservationMiddleware (metrics), and
// ProblemMiddleware (errors become answers); then the router finds its route, `Authenticator` its token, and the route does the rest.
// Owner: `run()`, which owns the listener and the announcer and ends both. Nothing is kept between requests but queues with limits.
// Must hold: whatever a request does, it is answered, by a documented body; a 2xx to a mutation means that PostgreSQL has committed it;
// from the start of a drain to its end every request is still served.

/// One API process's HTTP side: stateless, so any number of them serve the same database.
package final class APIService: Sendable {
    /// Every method of every path, as the documentation writes them.
    package let routePaths: [(method: String, path: String)]
    private let configuration: LiveConfiguration
    /// nil: plain.
    private let tls: ServerTLS?
    /// Run by `run()`, fed by the routes.
    private let announcer: Announcer
    private let bell: ChangeBell
    private let channel: ChangeChannelState
    private let drainState = DrainState()
    private let orders: Mutex<InstanceOrderDesk>
    private let tokens = TokenCache()
    private let audit: SecretReadAudit
    private let store: ConfigurationStore
    private let hooks: APIHooks
    /// Hummingbird's own way to stop accepting, finish what is under way, and close.
    private let listener: ServiceGroup
    private let address: Latch<ListenAddress>
    /// Set when `run()` has ended, however it did.
    private let finished = Latch<Void>()
    private let logger: Logger

    /// - Parameters:
    ///   - redis: for health checks; the caller runs it, as it runs the store, longer than this service.
    ///   - logins: what wrong tokens are counted in.
    ///   - metricsText: what `/metrics` answers.
    /// - Throws: `tls_files_invalid`, where a file of `configuration.tls` can't be used.
    package init(
        configuration: APIConfiguration,
        store: ConfigurationStore,
        publisher: ChangePublisher,
        redis: RedisClient,
        directory: InstanceDirectory,
        watchers: WatcherDirectory,
        logins: LoginGuard = LoginGuard(),
        metricsText: @escaping @Sendable () -> [UInt8],
        hooks: APIHooks = APIHooks(),
        metricsFactory: any MetricsFactory = MetricsSystem.factory,
        logger: Logger
    ) throws {
        let live = LiveConfiguration(configuration)
        let tls = try configuration.tls.map { try ServerTLS($0) }
        let metrics = APIMetrics(factory: metricsFactory)
        let bell = ChangeBell(limit: configuration.maximumLongPolls, metrics: metrics)
        let channel = ChangeChannelState()
        let announcer = Announcer(
            store: store,
            publisher: publisher,
            bell: bell,
            limit: configuration.maximumAnnouncementBytes,
            metrics: metrics,
            logger: logger
        )
        let interval: @Sendable () -> Duration = {
            channel.isUp ? configuration.longPollCheck : configuration.longPollCheckWithoutChannel
        }
        let health = HealthRoutes(
            configuration: configuration,
            store: store,
            redis: redis,
            drain: drainState,
            metricsText: metricsText
        )
        let committer = Committer(store: store, announcer: announcer, waiter: AppliedWaiter(watchers))
        let audit = SecretReadAudit(store: store, limit: configuration.maximumAuditBytes, metrics: metrics, logger: logger)
        let routes = [
            WorkspaceRoutes(store: store, announcer: announcer).routes,
            ProjectRoutes(store: store, announcer: announcer).routes,
            EnvironmentRoutes(store: store, announcer: announcer).routes,
            EntryRoutes(kind: .variable, store: store, committer: committer).routes,
            EntryRoutes(kind: .secret, store: store, committer: committer).routes,
            EntryActionRoutes(kind: .variable, store: store, committer: committer).routes,
            EntryActionRoutes(kind: .secret, store: store, committer: committer).routes,
            ConfigurationRoutes(store: store, committer: committer).routes,
            ImportRoutes(store: store, committer: committer, watchers: watchers, limit: { live.current.maximumImportBytes }).routes,
            HistoryRoutes(store: store, committer: committer).routes,
            WatcherRoutes(directory: watchers).routes,
            ChangeRoutes(store: store, bell: bell, interval: interval).routes,
            TokenRoutes(store: store, announcer: announcer, cache: tokens).routes,
            ConnectTokenRoutes(store: store).routes,
            WhoamiRoutes().routes,
            AuditRoutes(store: store).routes,
            InstanceRoutes(directory: directory, publisher: publisher, store: store).routes,
            KeyshadeRoutes(store: store).routes,
            ConsoleRoutes().routes,
            OpenAPIRoutes().routes,
            health.routes,
        ].flatMap { $0 }
        let authenticator = Authenticator(store: store, cache: tokens, logins: logins, metrics: metrics)
        let address = Latch<ListenAddress>()
        let connections = Self.connections(configuration)
        let application = Application(
            router: Self.router(routes, authenticator, audit, live, metrics),
            server: tls?.builder(connections) ?? .http1(configuration: connections),
            configuration: ApplicationConfiguration(address: .hostname(configuration.host, port: configuration.port), backlog: 1_024),
            onServerRunning: { channel in
                address.set(.success(ListenAddress(host: configuration.host, port: channel.localAddress?.port ?? configuration.port)))
            },
            logger: logger
        )
        listener = ServiceGroup(configuration: .init(services: [application], logger: logger))
        routePaths = routes.map { ($0.method.rawValue, $0.path) }
        orders = Mutex(InstanceOrderDesk(role: .api, name: configuration.instance))
        self.configuration = live
        self.tls = tls
        self.announcer = announcer
        self.audit = audit
        self.store = store
        self.hooks = hooks
        self.bell = bell
        self.channel = channel
        self.address = address
        self.logger = logger
    }

    /// Serves until `drain()` has ended or the task is cancelled.
    package func run() async throws {
        let result: Result<Void, any Error>
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await self.announcer.run() }
                // Ends last: what was read by the last request is still to be written.
                group.addTask { await self.audit.run() }
                defer { group.cancelAll() }
                try await serve()
            }
            result = .success(())
        } catch is CancellationError {
            result = .success(())
        } catch {
            result = .failure(error)
        }
        // Whoever still waits for one of these would wait for ever.
        bell.close()
        address.set(.failure(result.failure ?? CancellationError()))
        finished.set(.success(()))
        try result.get()
    }

    /// The task is awaited right here and cancelled with ours. It is detached because a graceful shutdown of whoever runs us reaches all
    /// of his child tasks, and would close the listener before `drain()` has told anybody.
    private func serve() async throws {
        let serving = Task.detached { [listener] in try await listener.run() }
        try await withTaskCancellationHandler {
            try await serving.value
        } onCancel: {
            serving.cancel()
        }
    }

    /// Takes over what may change while it serves: origins, the limits of bodies, the drain's delay, and the files of its TLS, which are
    /// read anew. Requests and connections under way keep what they began with.
    /// - Throws: `tls_files_invalid`; then nothing has changed.
    package func configure(_ new: APIConfiguration) throws {
        if let tls, let files = new.tls { try tls.replace(files) }
        configuration.adopt(new)
    }

    /// Long polls that wait in this process.
    package var longPolls: Int { bell.waiting }

    /// Where it listens, as soon as it does. Fails when `run()` fails first.
    package func listening() async throws -> ListenAddress {
        try await address.value()
    }

    /// Says `draining` on `/readyz` while it goes on serving, long enough for every balancer to have seen it; then answers what is under
    /// way and closes. Returns when `run()` has ended. Cancelling the task cuts the delay short.
    /// - Parameter immediately: without the delay, for a person who waits for it.
    package func drain(immediately: Bool = false) async {
        if drainState.begin() {
            logger.info("draining")
            // Only now: an operator's word that comes in between finds the state begun, and doesn't undo this.
            hooks.askedToDrain(true)
            if !immediately { try? await Task.sleep(for: configuration.current.drainDelay) }
            // Long polls would hold their connections for up to a minute.
            bell.close()
            await listener.triggerGracefulShutdown()
        }
        try? await finished.value()
    }

    /// What came on the change channel. For the subscriber's callback: it never blocks.
    package func received(_ events: [SubscriberEvent]) {
        for event in events {
            switch event {
            case .connected:
                channel.isUp = true
                bell.ringAll()
            case .disconnected:
                channel.isUp = false
            case .message(let message):
                if let id = UUID(uuidString: message.environmentID) { bell.ring(id) }
            case .untrusted(let environmentID):
                // Whoever published it: long polls look in PostgreSQL, and see what there is to see.
                if let id = environmentID.flatMap({ UUID(uuidString: $0) }) { bell.ring(id) } else { bell.ringAll() }
            case .control(let message, let isTrusted):
                received(message, isTrusted: isTrusted)
            }
        }
    }

    /// Without trust it costs a look-up at most.
    private func received(_ message: ControlMessage, isTrusted: Bool) {
        switch message {
        case .tokenRevoked(let id, _), .tokenChanged(let id, _):
            tokens.forget(tokenID: id)
        case .environmentDeleted(let text):
            guard let id = UUID(uuidString: text) else { return }
            store.forget(environmentID: id)
            bell.ring(id)
        case .instanceDrain(let order):
            if takes(order, isTrusted: isTrusted) { asked(toDrain: true) }
        case .instanceReady(let order):
            if takes(order, isTrusted: isTrusted) { asked(toDrain: false) }
        }
    }

    private func takes(_ order: InstanceOrder, isTrusted: Bool) -> Bool {
        switch orders.withLock({ $0.decide(order, isTrusted: isTrusted) }) {
        case .taken: return true
        case .ignored: return false
        case .untimely:
            logger.warning("an order to drain or to serve again was refused: it is not of this moment")
            return false
        }
    }

    /// An operator's wish: balancers are told to stay away, and whoever comes all the same is served.
    private func asked(toDrain isDraining: Bool) {
        guard drainState.ask(toDrain: isDraining) else { return }
        logger.notice("asked to drain or to serve again", metadata: [LogKey.isDraining: .stringConvertible(isDraining)])
        hooks.askedToDrain(isDraining)
        // The end of the process came in between, and must have the last word.
        if !isDraining, drainState.isDraining { hooks.askedToDrain(true) }
    }

    /// Heads over the limits, and anything that isn't HTTP, end their connection with a bare 400 from the parser.
    private static func connections(_ configuration: APIConfiguration) -> HTTP1Channel.Configuration {
        HTTP1Channel.Configuration(
            idleTimeout: TimeAmount(configuration.idleTimeout),
            httpDecoderConfiguration: .init(
                maxHeaderFieldSize: configuration.maximumHeadBytes,
                maxHeaderListSize: configuration.maximumHeadBytes,
                maxHeaderFieldCount: 100
            )
        )
    }

    /// The order of the middleware is this one place's business.
    private static func router(
        _ routes: [APIRoute],
        _ authenticator: Authenticator,
        _ audit: SecretReadAudit,
        _ configuration: LiveConfiguration,
        _ metrics: APIMetrics
    ) -> Router<APIContext> {
        let router = Router(context: APIContext.self, options: [.autoGenerateHeadEndpoints])
        // Outermost first.
        router.add(middleware: RequestIdentityMiddleware())
        metrics.expect(routes.map { ObservationMiddleware.label($0.method, $0.path) })
        router.add(middleware: ObservationMiddleware(metrics: metrics))
        router.add(middleware: CrossOriginMiddleware(configuration: configuration))
        router.add(middleware: ProblemMiddleware(routes: RouteTable(routes)))
        for route in routes {
            router.on(RouterPath(route.path), method: route.method) { request, context in
                switch route.handler {
                case .open(let handle):
                    return try await handle(request, context)
                case .authorized(let handle):
                    let call = AuthorizedCall(
                        request: request,
                        context: context,
                        token: try await authenticator.token(of: request, context),
                        authenticator: authenticator,
                        audit: audit,
                        bodyLimit: configuration.current.maximumBodyBytes
                    )
                    return try await handle(call)
                }
            }
        }
        return router
    }
}

extension Result {
    fileprivate var failure: Failure? {
        switch self {
        case .success: nil
        case .failure(let error): error
        }
    }
}
