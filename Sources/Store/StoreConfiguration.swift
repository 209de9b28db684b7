// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// How the store reaches PostgreSQL and how long it waits.
package struct StoreConfiguration: Sendable {
    /// Any URL or keyword list that libpq reads. Of several hosts the one that takes writes is found, now and after every failover.
    package var url: String
    /// Connections for reads; each carries many statements at once.
    package var readers = 2
    /// Connections for mutations; an environment always uses the same one.
    package var writers = 2
    /// How long a call waits for PostgreSQL, from its arrival to its answer, before it is `unavailable`.
    package var requestTimeout: Duration = .seconds(5)
    /// The same for mutations of more than 100 changes.
    package var bulkTimeout: Duration = .seconds(30)
    /// How long a start waits for a PostgreSQL that doesn't answer yet.
    package var startTimeout: Duration = .seconds(60)
    /// One attempt to connect to one address. Of several, the next is tried beside a slow one well before this.
    package var connectTimeout: Duration = .seconds(3)
    /// Calls and bytes that may wait for one connection; more are `unavailable` at once.
    package var waitingCalls = 4096
    package var waitingBytes = 64 * 1024 * 1024
    /// SHA-256 of the configured root token (`TokenText.hash`); nil where there is none.
    package var rootTokenHash: [UInt8]?

    package init(url: String) {
        self.url = url
    }

    /// - Throws: `configuration_invalid` where the URL can't be read, without any part of it.
    package func validate() throws(StoreError) {
        _ = try PostgresAddress(parsing: url)
    }
}
