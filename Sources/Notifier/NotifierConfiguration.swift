// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Where Redis is and how it is used; the same for all connections of a process.
package struct NotifierConfiguration: Sendable {
    package var endpoint: RedisEndpoint
    package var channels = NotifierChannels()
    /// Prefix of the registry's keys.
    package var cluster = "keyvane"
    /// Shown by `CLIENT LIST`, so that an operator knows whose connection it is.
    package var clientName = "keyvane"
    /// Until the first greeting is answered, name look-up included.
    package var connectTimeout = Duration.seconds(2)
    /// Silence after which a PING is sent, and then the time its answer may take before Redis counts as away.
    package var silenceLimit = Duration.milliseconds(300)
    package var answerLimit = Duration.milliseconds(300)
    /// How often a sentinel is asked whether our master still is the master: one that was replaced may keep its connections.
    package var masterCheckInterval = Duration.seconds(5)
    /// Bytes of commands that may wait for their answers; more are refused.
    package var queueLimit = 8 * 1024 * 1024

    /// What keys begin with.
    var keyPrefix: String { endpoint.keyPrefix(cluster) }

    package init(endpoint: RedisEndpoint) {
        self.endpoint = endpoint
    }
}

/// The two channels: one message a change, and the few messages that control gateways.
package struct NotifierChannels: Hashable, Sendable {
    package var changes = "change-notifier"
    package var control = "change-notifier:control"

    package init() {}
}
