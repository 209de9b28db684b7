// Keyvane
// SPDX-License-Identifier: Apache-2.0

public import NIOSSL

/// Where the service is, who asks, and how long to wait.
public struct ClientSettings: Sendable {
    /// The service's base URL, `http` or `https`, with a path where a proxy puts one in front.
    public var url: String
    /// The bearer token.
    public var token: String
    /// Trust roots and client certificates; nil trusts what the system trusts.
    public var tls: TLSConfiguration?
    /// How long a REST call may take, its retries included.
    public var requestTimeout: Duration
    /// How often a REST call is repeated after a lost connection or a 502, 503 or 504.
    public var retries: Int
    /// How watches connect and reconnect.
    public var watch: WatchSettings

    /// Makes settings.
    public init(
        url: String,
        token: String,
        tls: TLSConfiguration? = nil,
        requestTimeout: Duration = .seconds(30),
        retries: Int = 2,
        watch: WatchSettings = WatchSettings()
    ) {
        self.url = url
        self.token = token
        self.tls = tls
        self.requestTimeout = requestTimeout
        self.retries = retries
        self.watch = watch
    }
}

// Printing, interpolating or dumping settings must not show the token.
extension ClientSettings: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The settings without the token.
    public var description: String { "ClientSettings(url: \(url), token: -)" }
    /// The settings without the token.
    public var debugDescription: String { description }
    /// The settings without the token.
    public var customMirror: Mirror {
        Mirror(self, children: ["url": url, "token": "-", "requestTimeout": requestTimeout, "retries": retries, "watch": watch])
    }
}

/// Times and limits of a watch.
public struct WatchSettings: Sendable {
    /// How long a connection may take to open, TLS and upgrade included.
    public var connectTimeout: Duration = .seconds(10)
    /// A connection on which nothing arrives for so long is dead. It is stretched where the server's heartbeat is slower.
    public var silenceTimeout: Duration = .seconds(45)
    /// The upper bound of the first delay before a reconnect; each further attempt doubles it. The delay itself is random below it.
    public var initialBackoff: Duration = .milliseconds(250)
    /// The largest upper bound of the delay.
    public var maximumBackoff: Duration = .seconds(10)
    /// A connection that lasted so long makes the next delay start from `initialBackoff` again.
    public var stableAfter: Duration = .seconds(5)
    /// The pause after the server found this client too fast (close code 4429, status 429 without `Retry-After`).
    public var tooFastPause: Duration = .seconds(30)
    /// The largest message that is accepted. The server sends snapshots of up to 32 MiB.
    public var receiveLimit: Int = 32 * 1_024 * 1_024
    /// How many bytes of events wait for a slow consumer one by one; beyond it they are merged into the newest state.
    public var bufferLimit: Int = 1_024 * 1_024

    /// Makes settings with the defaults.
    public init() {}
}
