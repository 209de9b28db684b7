// Keyvane
// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Hummingbird
import Logging
import Notifier
import Store

// For whoever runs it: health, metrics, instances and their drain.
// Flows through: real round trips to PostgreSQL and Redis, and wishes to other instances over the control channel.
// Owner: the drain state belongs to this process; other instances drain themselves.
// Must hold: health needs no token and tells nothing but health; a draining instance says so before it refuses anybody.

/// What balancers, orchestrators and Prometheus ask. No token, no error texts: those go to the log.
struct HealthRoutes: Sendable {
    struct Check: Sendable {
        let isOK: Bool
        let milliseconds: Double
    }

    let configuration: APIConfiguration
    let store: ConfigurationStore
    let redis: RedisClient
    let drain: DrainState
    /// The registry belongs to the composition root; here it is only text.
    let metricsText: @Sendable () -> [UInt8]

    var routes: [APIRoute] {
        [
            // The process answers, so it lives; whether it can work is `/readyz`.
            .open(.get, "/livez") { _, _ in Self.plain(.ok, "ok\n") },
            .open(.get, "/readyz", ready),
            // `/health/` is the same path to the router.
            .open(.get, "/health", health),
            .open(.get, "/api/v1/health", health),
            .open(.get, "/metrics") { _, _ in
                let headers: HTTPFields = [.contentType: "text/plain; version=0.0.4; charset=utf-8"]
                return Response(status: .ok, headers: headers, body: .init(byteBuffer: ByteBuffer(bytes: metricsText())))
            },
        ]
    }

    /// Draining comes first: one answer with that state takes this instance out gracefully, without a failed check.
    @Sendable private func ready(_ request: Request, _ context: APIContext) async throws -> Response {
        if drain.isDraining { return Self.plain(.serviceUnavailable, "draining\n", state: "draining") }
        if await databaseCheck(context.logger).isOK { return Self.plain(.ok, "ready\n") }
        return Self.plain(.serviceUnavailable, "the database is away\n", state: "unavailable")
    }

    /// For people and dashboards; balancers ask `/readyz`. Both checks run at the same time.
    @Sendable private func health(_ request: Request, _ context: APIContext) async throws -> Response {
        async let databaseCheck = databaseCheck(context.logger)
        async let redisCheck = redisCheck(context.logger)
        let (database, redis) = await (databaseCheck, redisCheck)
        let headers: HTTPFields = [.cacheControl: "no-store"]
        // Without Redis an API does all of its work; gateways are told later, by the relay.
        return .json(database.isOK ? .ok : .serviceUnavailable, headers: headers) { answer in
            answer.member("status", database.isOK ? "healthy" : "unhealthy")
            answer.member("role", "api")
            answer.member("version", configuration.version)
            answer.member("instance", configuration.instance)
            answer.member("database", database.isOK)
            answer.member("redis", redis.isOK)
            answer.member("checks") { checks in
                checks.member("database") { $0.members(database) }
                checks.member("redis") { $0.members(redis) }
            }
        }
    }

    /// A real round trip: a connection that is merely open proves nothing.
    private func databaseCheck(_ logger: Logger) async -> Check {
        await timed("database", logger) { try await store.ping() }
    }

    private func redisCheck(_ logger: Logger) async -> Check {
        await timed("redis", logger) { _ = try await redis.send("PING") }
    }

    /// Both checks come back within about a second by themselves, whatever the other side does.
    private func timed(_ name: String, _ logger: Logger, _ check: () async throws -> Void) async -> Check {
        let start = ContinuousClock.now
        var isOK = true
        do {
            try await check()
        } catch {
            isOK = false
            logger.info("health check failed", metadata: [LogKey.check: .string(name), LogKey.error: .string("\(error)")])
        }
        return Check(isOK: isOK, milliseconds: (ContinuousClock.now - start) / .milliseconds(1))
    }

    private static func plain(_ status: HTTPResponse.Status, _ text: String, state: String? = nil) -> Response {
        var headers: HTTPFields = [.contentType: "text/plain; charset=utf-8", .cacheControl: "no-store"]
        headers[.keyvaneState] = state
        return Response(status: status, headers: headers, body: .init(byteBuffer: ByteBuffer(string: text)))
    }
}

extension JSONWriter {
    fileprivate mutating func members(_ check: HealthRoutes.Check) {
        member("ok", check.isOK)
        member("latencyMs", tenths: check.milliseconds)
    }
}
