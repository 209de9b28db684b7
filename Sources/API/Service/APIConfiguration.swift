// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// What one API process is told from outside.
package struct APIConfiguration: Sendable {
    /// Where it listens; port 0 takes a free one, see `APIService.listening()`.
    package var host = "127.0.0.1"
    package var port = 0
    /// nil: plain.
    package var tls: APITLS?
    /// This process's name in health answers and in the registry.
    package var instance = "api"
    package var version = "0.0.0"
    /// Origins of other hosts whose pages may use this API, such as `https://console.example`, in lower case.
    package var origins: Set<String> = []
    package var maximumBodyBytes = 1_048_576
    /// Of a document that is imported.
    package var maximumImportBytes = 10_485_760
    /// All header fields of a request together.
    package var maximumHeadBytes = 32_768
    /// A keep-alive connection without a request is closed after this. Longer than the balancer keeps its own idle ones.
    package var idleTimeout: Duration = .seconds(90)
    /// How long a draining instance goes on serving, so that every balancer has seen it leave.
    package var drainDelay: Duration = .seconds(6)
    package var maximumLongPolls = 10_000
    /// How often a long poll looks by itself: while the change channel is up, and while it isn't.
    package var longPollCheck: Duration = .seconds(5)
    package var longPollCheckWithoutChannel: Duration = .milliseconds(500)
    /// Records of secrets' reads that wait for PostgreSQL; beyond that a read waits for its own.
    package var maximumAuditBytes = 1_048_576
    /// Announcements that wait for Redis; what comes on top is left to the outbox relay.
    package var maximumAnnouncementBytes = 16_777_216

    package init() {}
}

/// PEM files; certificate and key may be the same one.
package struct APITLS: Sendable {
    package var certificate: String
    package var key: String
    /// Of authorities: every client must show a certificate of one of them.
    package var clientAuthorities: String?

    package init(certificate: String, key: String, clientAuthorities: String? = nil) {
        self.certificate = certificate
        self.key = key
        self.clientAuthorities = clientAuthorities
    }
}
