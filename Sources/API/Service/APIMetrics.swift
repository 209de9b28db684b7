// Keyvane
// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Metrics
import Synchronization

/// The metrics of this target, made once. Series of routes are made when first needed and kept: there are as many as routes and statuses.
/// The table is guarded by its mutex.
final class APIMetrics: Sendable {
    fileprivate struct RequestSeries: Hashable {
        let route: String
        let status: Int
    }

    fileprivate struct Series: Sendable {
        var requests: [RequestSeries: Counter] = [:]
        var durations: [String: Timer] = [:]
    }

    private let factory: any MetricsFactory
    private let series = Mutex(Series())
    /// Announcements left to the relay because Redis was away or the queue was full.
    let announcementsDropped: Counter
    let announcementQueueBytes: Meter
    /// Records of reads that wait for PostgreSQL.
    let auditQueueBytes: Meter
    let longPolls: Meter
    /// Tokens that were refused, and those of clients that had shown too many already.
    private let loginsUnknown: Counter
    private let loginsLimited: Counter

    init(factory: any MetricsFactory) {
        self.factory = factory
        announcementsDropped = Counter(label: "api_announcements_dropped_total", factory: factory)
        announcementQueueBytes = Meter(label: "api_announcement_queue_bytes", factory: factory)
        auditQueueBytes = Meter(label: "api_audit_queue_bytes", factory: factory)
        longPolls = Meter(label: "api_long_polls", factory: factory)
        let rejected = "api_rejected_logins_total"
        loginsUnknown = Counter(label: rejected, dimensions: [("reason", "unknown")], factory: factory)
        loginsLimited = Counter(label: rejected, dimensions: [("reason", "limited")], factory: factory)
    }

    func rejectedLogin(isLimited: Bool) {
        (isLimited ? loginsLimited : loginsUnknown).increment()
    }

    /// Series that are there before their first request: a rate needs a value to rise from.
    func expect(_ routes: [String]) {
        series.withLock { series in
            for route in routes {
                for status in [200, 500, 503] { _ = series.counter(RequestSeries(route: route, status: status), factory) }
            }
            _ = series.counter(RequestSeries(route: ObservationMiddleware.unmatched, status: 404), factory)
        }
    }

    func answered(route: String, status: HTTPResponse.Status, duration: Duration) {
        let (counter, timer) = series.withLock { series in
            (series.counter(RequestSeries(route: route, status: status.code), factory), series.timer(route, factory))
        }
        counter.increment()
        timer.record(duration: duration)
    }
}

extension APIMetrics.Series {
    fileprivate mutating func counter(_ key: APIMetrics.RequestSeries, _ factory: any MetricsFactory) -> Counter {
        if let counter = requests[key] { return counter }
        let dimensions = [("route", key.route), ("status", String(key.status))]
        let counter = Counter(label: "api_requests_total", dimensions: dimensions, factory: factory)
        requests[key] = counter
        return counter
    }

    fileprivate mutating func timer(_ route: String, _ factory: any MetricsFactory) -> Timer {
        if let timer = durations[route] { return timer }
        let timer = Timer(label: "api_request_duration_seconds", dimensions: [("route", route)], factory: factory)
        durations[route] = timer
        return timer
    }
}
