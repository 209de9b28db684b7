// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// What every metric means, for `# HELP`; and the bounds of histograms whose unit alone doesn't tell what matters.
/// docs/observability.md has the same names, with their labels and what to alert on; `scripts/check-metrics` compares both with `/metrics`.
enum MetricCatalog {
    static let help: [String: String] = [
        // API
        "api_requests_total": "Requests answered, by route and status.",
        "api_request_duration_seconds": "Time from a request to its answer, by route; for long polls the waiting too.",
        "api_announcements_dropped_total": "Announcements left to the outbox, because Redis was away or the queue was full.",
        "api_announcement_queue_bytes": "Announcements that wait for Redis.",
        "api_audit_queue_bytes": "Audit rows of reads of secrets that wait for PostgreSQL.",
        "api_rejected_logins_total": "Tokens refused: unknown ones, and all of clients that showed too many (limited).",
        "api_long_polls": "Requests that wait for a change.",
        // Store
        "store_transactions_total": "Mutations committed with at least one change.",
        "store_outbox_lag_seconds": "Age of the oldest committed change that nobody has announced yet; looked at by APIs.",
        "store_pool_in_use": "PostgreSQL connections with something under way.",
        "store_pool_waiting": "Calls that wait for a PostgreSQL connection.",
        "store_pool_wait_seconds": "How long calls waited for a PostgreSQL connection.",
        "store_pool_refused_total": "Calls never sent to PostgreSQL: too many waited (full), or no connection in time (timeout).",
        "store_reconnects_total": "PostgreSQL connections that were replaced.",
        // Notifier
        "notifier_published_total": "Change messages that Redis took.",
        "notifier_publish_failures_total": "Change messages that Redis did not take; the outbox has them.",
        "notifier_relayed_total": "Announcements published from the outbox in another one's place.",
        "notifier_received_total": "Change messages received.",
        "notifier_untrusted_total": "Messages that could not be read or had no valid code.",
        "notifier_reconnects_total": "Redis connections that were replaced, by their purpose.",
        "notifier_connected": "1 while the Redis connection of this purpose is up.",
        // Gateway
        "gateway_connections": "Open watching connections.",
        "gateway_connections_limit": "Watching connections that this gateway may have.",
        "gateway_watchers": "Subscriptions of the open connections.",
        "gateway_deliveries_total": "Changes handed to sockets.",
        "gateway_delivery_seconds": "Commit of a change to its bytes at the sockets; one observation for each batch of up to 256 sockets.",
        "gateway_gaps_total": "Holes in the messages of Redis that were read back from PostgreSQL.",
        "gateway_conflated_total": "Sockets that got the newest state in place of every change.",
        "gateway_behind_total": "Sockets that were further behind than the limit.",
        "gateway_rejected_logins_total": "Tokens refused: unknown ones, and all of clients that showed too many (limited).",
        "gateway_closes_total": "Connections closed, by WebSocket close code.",
        "gateway_audit_queue_bytes": "Audit rows of subscriptions that wait for PostgreSQL.",
        // Balancer
        "balancer_requests_total": "Requests by pool, server and status; server is none where the balancer answered itself.",
        "balancer_request_duration_seconds": "Time from a request to the head of its answer.",
        "balancer_tunnels": "Open WebSocket tunnels by server.",
        "balancer_exchanges": "Requests under way by server.",
        "balancer_server_up": "1 while the server is used.",
        "balancer_server_draining": "1 while the server is on its way out.",
        "balancer_server_weight": "Weight as it counts now; 0 for a server that gets no new clients.",
        "balancer_queued": "Requests that wait for a server of the pool.",
        "balancer_pool_panic": "1 while every server of the pool is down and all are used nevertheless.",
        "balancer_rejected_total": "Requests and connections that the balancer refused, by reason.",
        "balancer_retries_total": "Requests sent to another server after the first had failed.",
        "balancer_sticky_refused_total": "Sticky cookies that were not followed, by reason.",
        "balancer_rejected_logins_total": "Admin logins refused: wrong passwords (unknown), and all after too many (limited).",
        "balancer_config_reloads_total": "Readings of the configuration, by result.",
        "balancer_bytes_total": "Bytes from and to servers.",
        "balancer_client_connections": "Open connections of clients by listener, tunnels among them; of HTTP/2 each stream.",
        "balancer_connections_limit": "Connections of clients that the limit of open files leaves room for, each with one to a server.",
        // All
        "keyvane_build_info": "Version and role of this process; always 1.",
    ]

    /// Promised are 10 ms at the 99th percentile, and 1 s without Redis: there the steps are close. Commits are timed in milliseconds.
    static let buckets: [String: [Double]] = [
        "gateway_delivery_seconds": [
            0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 10, 30, 60,
        ]
    ]
}
