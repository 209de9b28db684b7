// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Reactor
import Wire

/// What a request was and when it got how far, until its response is out or its tunnel ends. Owned by its exchange, then by its tunnel.
final class LoggedRequest {
    /// What the request's pin came to.
    enum Pin: Equatable {
        /// The pool pins nobody, or no pool was reached.
        case none
        case absent
        case valid
        case refused(StickyRefusal)
    }

    enum Cookie: String {
        case untouched, inserted, renewed
    }

    /// The request, as its connection tells it.
    struct Origin {
        let client: String
        let port: UInt16?
        let listener: ListenerTraits
        let isHTTP2: Bool
        let tls: TLSFacts.Version?
    }

    let origin: Origin
    let id: String
    let traceID: String
    /// The request line's parts; empty where no head could be read.
    let method: String
    let target: String
    let version: StaticString
    /// Where the route says so, not the balancer's.
    var rule: AccessLogRule
    /// Of the wall's clock, when the head was there.
    let arrival: timespec

    // Nanoseconds of the monotonic clock. The first attempt counts as the choice, the last one as the connection.
    let began: UInt64
    /// Of the head, from its first byte to its last.
    let headTime: UInt64
    var chosenAt: UInt64?
    var connectedAt: UInt64?
    var answeredAt: UInt64?
    var endedAt: UInt64

    /// Requests that waited when this one began to: for its server, and in the whole pool.
    var queuedAhead = (server: 0, pool: 0)
    var retries = 0
    var isRedispatched = false
    var pin = Pin.none
    var cookie = Cookie.untouched

    var pool: String?
    var server: String?
    var status = 0
    var cause = TerminationCause.done
    /// The code of the balancer's own answer.
    var reason: String?
    /// Of the body or the tunnel, as they came; what was sent has the head too.
    var received: UInt64 = 0
    var sent: UInt64 = 0

    init(
        _ head: RequestHead,
        in bytes: Span<UInt8>,
        origin: Origin,
        name: RequestName,
        rule: AccessLogRule,
        began: UInt64,
        headTime: UInt64
    ) {
        self.origin = origin
        id = name.requestID
        traceID = name.traceID
        self.rule = rule
        self.began = began
        self.headTime = headTime
        endedAt = began
        method = bytes.string(head.methodRange)
        target = RedactedTarget.text(head, in: bytes)
        version = origin.isHTTP2 ? "HTTP/2.0" : head.version == .http10 ? "HTTP/1.0" : "HTTP/1.1"
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        arrival = now
    }

    /// A head that was refused.
    init(refused status: Int, reason: String, cause: TerminationCause, origin: Origin, rule: AccessLogRule, at now: UInt64, sent: Int) {
        self.origin = origin
        self.rule = rule
        self.status = status
        self.reason = reason
        self.cause = cause
        self.sent = UInt64(sent)
        (id, traceID, method, target, version) = ("", "", "", "", "")
        (began, endedAt, headTime) = (now, now, 0)
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        arrival = now
    }

    private(set) var wasAnsweredHere = false

    var isRefusedHead: Bool { method.isEmpty }

    /// By the balancer, outside of any exchange.
    func answered(_ status: Int, reason: String?, cause: TerminationCause, sent: Int) {
        self.status = status
        self.reason = reason
        self.cause = cause
        self.sent = UInt64(sent)
        wasAnsweredHere = true
    }

    func attemptBegan(at now: UInt64) {
        if chosenAt == nil { chosenAt = now }
        connectedAt = nil
    }

    // MARK: JSON

    var metadata: [BalancerLogKey: String] {
        var metadata: [BalancerLogKey: String] = [
            .client: origin.client, .frontend: origin.listener.name, .pool: pool ?? "-", .server: server ?? "-", .status: String(status),
            .bytes: String(sent), .received: String(received), .duration: milliseconds(endedAt - began), .cause: cause.rawValue,
        ]
        if !isRefusedHead {
            metadata[.requestID] = id
            metadata[.traceID] = traceID
            metadata[.method] = method
            metadata[.path] = target
            metadata[.version] = "\(version)"
            metadata[.headTime] = milliseconds(headTime)
        }
        if let tls = origin.tls { metadata[.tls] = tls.rawValue }
        if let chosenAt { metadata[.queueTime] = milliseconds(chosenAt - began) }
        if let chosenAt, let connectedAt { metadata[.connectTime] = milliseconds(connectedAt - chosenAt) }
        if let connectedAt, let answeredAt { metadata[.responseTime] = milliseconds(answeredAt - connectedAt) }
        if let reason { metadata[.reason] = reason }
        if retries > 0 { metadata[.retries] = String(retries) }
        if queuedAhead.pool > 0 { metadata[.queued] = String(queuedAhead.pool) }
        switch pin {
        case .none: break
        case .absent: metadata[.sticky] = cookie == .untouched ? "none" : cookie.rawValue
        case .valid: metadata[.sticky] = cookie == .untouched ? "valid" : cookie.rawValue
        case .refused(let reason): metadata[.sticky] = reason.rawValue
        }
        return metadata
    }

    /// With microseconds: many a request is over within one millisecond.
    private func milliseconds(_ nanoseconds: UInt64) -> String {
        String(Double(nanoseconds / 1000) / 1000)
    }
}
