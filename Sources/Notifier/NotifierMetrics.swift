// Keyvane
// SPDX-License-Identifier: Apache-2.0

import CoreMetrics
package import Metrics

/// Counters of this target; made once, after the metrics system was bootstrapped, and shared.
package struct NotifierMetrics: Sendable {
    /// Messages that Redis took.
    let published: Counter
    /// Messages that Redis did not take; the relay announces them later.
    let publishFailures: Counter
    /// Announcements that a relay published for somebody else.
    let relayed: Counter
    let received: Counter
    /// Messages that could not be read, or had no valid code.
    let untrusted: Counter
    let commandReconnects: Counter
    let subscriberReconnects: Counter
    let commandsConnected: Meter
    let subscriberConnected: Meter

    /// - Parameter hearsChanges: false for who only sends commands: a connection that is never made must not look like one that is down.
    package init(factory: any MetricsFactory = MetricsSystem.factory, hearsChanges: Bool = true) {
        let others: any MetricsFactory = hearsChanges ? factory : NOOPMetricsHandler.instance
        published = Counter(label: "notifier_published_total", factory: others)
        publishFailures = Counter(label: "notifier_publish_failures_total", factory: others)
        relayed = Counter(label: "notifier_relayed_total", factory: others)
        received = Counter(label: "notifier_received_total", factory: others)
        untrusted = Counter(label: "notifier_untrusted_total", factory: others)
        let commands = [("connection", RedisPurpose.commands.label)]
        let subscriber = [("connection", RedisPurpose.subscription([]).label)]
        commandReconnects = Counter(label: "notifier_reconnects_total", dimensions: commands, factory: factory)
        subscriberReconnects = Counter(label: "notifier_reconnects_total", dimensions: subscriber, factory: others)
        commandsConnected = Meter(label: "notifier_connected", dimensions: commands, factory: factory)
        subscriberConnected = Meter(label: "notifier_connected", dimensions: subscriber, factory: others)
    }

    func reconnects(_ purpose: RedisPurpose) -> Counter {
        switch purpose {
        case .commands: commandReconnects
        case .subscription: subscriberReconnects
        }
    }

    func connected(_ purpose: RedisPurpose) -> Meter {
        switch purpose {
        case .commands: commandsConnected
        case .subscription: subscriberConnected
        }
    }
}
