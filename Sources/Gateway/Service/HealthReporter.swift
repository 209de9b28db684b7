// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor
import Store
import Wire

/// The answers of `/livez`, `/readyz`, `/health` and `/metrics`. Immutable; called on any loop.
struct HealthReporter: Sendable {
    let configuration: GatewayConfiguration
    let hooks: GatewayHooks
    let status: GatewayStatus
    let source: any ConfigurationSource
    let queue: SourceQueue

    private struct Check: Sendable {
        var isFine: Bool
        var milliseconds: Double?
    }

    private static let noStore = (name: "Cache-Control", value: "no-store")

    func live(keepAlive: Bool, omitBody: Bool) -> [UInt8] {
        answer(200, #"{"status":"live"}"#, keepAlive: keepAlive, omitBody: omitBody)
    }

    /// New subscriptions need PostgreSQL; without Redis a gateway is slower, not unable.
    func ready(keepAlive: Bool, omitBody: Bool) -> [UInt8] {
        if status.isDraining {
            let state = (name: "Keyvane-State", value: "draining")
            return answer(503, #"{"status":"draining"}"#, fields: [state], keepAlive: keepAlive, omitBody: omitBody)
        }
        guard source.isAvailable else {
            return answer(503, #"{"status":"unavailable"}"#, keepAlive: keepAlive, omitBody: omitBody)
        }
        return answer(200, #"{"status":"ready"}"#, keepAlive: keepAlive, omitBody: omitBody)
    }

    func metrics(keepAlive: Bool, omitBody: Bool) -> [UInt8] {
        HTTPResponseBytes.simple(
            status: 200,
            contentType: "text/plain; version=0.0.4; charset=utf-8",
            body: hooks.metricsBody(),
            extraFields: [Self.noStore],
            keepAlive: keepAlive,
            omitBody: omitBody
        )
    }

    /// Asks PostgreSQL and Redis; `done` is called on the loop.
    func health(on loop: Loop, keepAlive: Bool, omitBody: Bool, _ done: LoopBound<([UInt8]) -> Void>) {
        let isTaken = queue.submit { [self] in
            let database = await timed { try await source.ping() }
            let redis: Check
            if let ping = hooks.pingRedis {
                redis = await timed(ping)
            } else {
                redis = Check(isFine: status.isRedisConnected)
            }
            let bytes = report(database: database, redis: redis, keepAlive: keepAlive, omitBody: omitBody)
            loop.post { done.value(bytes) }
        }
        guard !isTaken else { return }
        let redis = Check(isFine: status.isRedisConnected)
        done.value(report(database: Check(isFine: false), redis: redis, keepAlive: keepAlive, omitBody: omitBody))
    }

    private func timed(_ body: () async throws -> Void) async -> Check {
        let clock = ContinuousClock()
        let start = clock.now
        do {
            try await body()
        } catch {
            return Check(isFine: false)
        }
        let taken = (clock.now - start).components
        return Check(isFine: true, milliseconds: Double(taken.seconds) * 1000 + Double(taken.attoseconds / 100_000_000_000_000) / 10)
    }

    private func report(database: Check, redis: Check, keepAlive: Bool, omitBody: Bool) -> [UInt8] {
        var body: [UInt8] = []
        body.append(database.isFine ? #"{"status":"healthy""# : #"{"status":"unhealthy""#)
        body.append(#","role":"gateway","version":"#)
        JSONText.append(quoted: configuration.version, to: &body)
        body.append(#","instance":"#)
        JSONText.append(quoted: configuration.name, to: &body)
        body.append(#","database":"#)
        body.append("\(database.isFine)")
        body.append(#","redis":"#)
        body.append("\(redis.isFine)")
        body.append(#","checks":{"database":"#)
        append(database, to: &body)
        body.append(#","redis":"#)
        append(redis, to: &body)
        body.append("}}")
        return answer(database.isFine ? 200 : 503, String(decoding: body, as: UTF8.self), keepAlive: keepAlive, omitBody: omitBody)
    }

    private func append(_ check: Check, to body: inout [UInt8]) {
        body.append(#"{"ok":"#)
        body.append("\(check.isFine)")
        if let milliseconds = check.milliseconds {
            body.append(#","latencyMs":"#)
            body.append("\(milliseconds)")
        }
        body.append(0x7D)
    }

    private func answer(
        _ status: Int,
        _ body: String,
        fields: [(name: String, value: String)] = [],
        keepAlive: Bool,
        omitBody: Bool
    ) -> [UInt8] {
        HTTPResponseBytes.simple(
            status: status,
            contentType: "application/json",
            body: body,
            extraFields: fields + [Self.noStore],
            keepAlive: keepAlive,
            omitBody: omitBody
        )
    }
}
