// Keyvane
// SPDX-License-Identifier: Apache-2.0

// What flows through: REST calls out and answers back (Rest/), and frames of one environment in over a WebSocket (Socket/),
// which become events and whole configurations (Watch/) made of the values in Model/.
// Who owns it: the caller owns the client; each watch owns one connection, confined to one event loop, and ends with its sequence.
// What must hold: no change is skipped silently (a gap leads to a snapshot), nothing queues without a limit, no token in a text.

public import AsyncHTTPClient
import NIOCore
import NIOPosix
import NIOSSL

/// A client of one Keyvane service.
///
/// ```swift
/// try await ConfigurationClient.withClient(ClientSettings(url: "https://config.example.com", token: token)) { client in
///     for try await configuration in client.watch("acme/web/production") {
///         print(configuration.revision, configuration["DB_HOST"] ?? "not set")
///     }
/// }
/// ```
///
/// A client is a value without connections of its own: REST calls go through the `HTTPClient` that it was made with, and each
/// watch opens a WebSocket when it is first asked for an event.
public struct ConfigurationClient: Sendable {
    let settings: ClientSettings
    let address: ServerAddress
    let caller: RESTCaller

    /// Makes a client that uses an `HTTPClient` of yours, or one that all clients of the process share.
    ///
    /// The HTTP client's own TLS configuration counts for REST calls; `settings.tls` counts for watches only. Use
    /// ``withClient(_:isolation:_:)`` where both need the same trust roots or a client certificate.
    /// An HTTP client of yours should not follow redirects: they would carry the token to wherever an answer points.
    /// - Throws: A ``ClientError`` with the code `invalid_url` or `invalid_token`.
    public init(_ settings: ClientSettings, httpClient: HTTPClient? = nil) throws(ClientError) {
        self.settings = settings
        address = try ServerAddress(settings.url)
        // The token becomes a header line: anything else than printable ASCII could start another one.
        guard !settings.token.isEmpty, settings.token.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw ClientError(
                code: "invalid_token",
                message: "The token is empty or has characters that no token has. Check where it is read from."
            )
        }
        caller = RESTCaller(address: address, settings: settings, httpClient: httpClient ?? Self.sharedHTTPClient)
    }

    /// Makes a client with connections of its own, lends it to the body and closes the connections afterwards.
    ///
    /// Watches must end inside of the body.
    public static func withClient<Result: Sendable>(
        _ settings: ClientSettings,
        isolation: isolated (any Actor)? = #isolation,
        _ body: (ConfigurationClient) async throws -> Result
    ) async throws -> Result {
        let httpClient = makeHTTPClient(tls: settings.tls, connectTimeout: settings.watch.connectTimeout)
        do {
            let result = try await body(try ConfigurationClient(settings, httpClient: httpClient))
            try await httpClient.shutdown()
            return result
        } catch {
            // The body's error is the one that the caller can do something about.
            try? await httpClient.shutdown()
            throw error
        }
    }

    /// Lives as long as the process, and is never shut down.
    private static let sharedHTTPClient = makeHTTPClient(tls: nil, connectTimeout: WatchSettings().connectTimeout)

    private static func makeHTTPClient(tls: TLSConfiguration?, connectTimeout: Duration) -> HTTPClient {
        var configuration = HTTPClient.Configuration(tlsConfiguration: tls, redirectConfiguration: .disallow)
        configuration.timeout.connect = TimeAmount(connectTimeout)
        // Else a refused connection is tried again until the call's deadline, and the caller waits for nothing.
        configuration.connectionPool.retryConnectionEstablishment = false
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }

    /// The environment's whole configuration, now and after each change.
    ///
    /// ```swift
    /// for try await configuration in client.watch("acme/web/production") {
    ///     pool.resize(to: try configuration.value("POOL_SIZE", as: Int.self) ?? 10)
    /// }
    /// ```
    ///
    /// It connects when it is first asked for a configuration, reconnects by itself and resumes where it was. A slow consumer skips
    /// states in between, never the newest one. It ends by throwing only where trying again is of no use: a token that is wrong, revoked or not
    /// granted, an environment that doesn't exist; and with the task that reads it.
    ///
    /// - Parameters:
    ///   - environment: `workspace/project/environment`.
    ///   - names: Globs such as `FEATURE_*`; an empty list is all names.
    ///   - known: A configuration from earlier, watched with the same names. Only what has changed since is transferred.
    ///   - acknowledges: Whether writers who wait for their change to be applied wait for
    ///     ``ConfigurationSequence/acknowledge(_:as:)`` of this watch.
    ///   - offlineCache: A file that keeps the newest configuration, and gives it while the service can't be reached at the start.
    ///   - onInterruption: Told whenever a connection is gone or could not be made; another one is tried by itself.
    public func watch(
        _ environment: String,
        names: [String] = [],
        startingFrom known: EnvironmentConfiguration? = nil,
        acknowledges: Bool = false,
        offlineCache: OfflineCache? = nil,
        onInterruption: @escaping @Sendable (WatchInterruption) -> Void = { _ in }
    ) -> ConfigurationSequence {
        ConfigurationSequence(
            events: events(environment, since: known?.cursor, names: names, acknowledges: acknowledges),
            known: known,
            cache: offlineCache.map { BoundCache($0, token: settings.token, environment: environment, names: names) },
            onInterruption: onInterruption
        )
    }

    /// What happens to an environment, one by one: connections, snapshots, changes. For whoever needs more than the newest configuration.
    ///
    /// - Parameters:
    ///   - environment: `workspace/project/environment`.
    ///   - since: Where to start; nil starts with a snapshot. A cursor that is too old leads to a snapshot as well.
    ///   - names: Globs such as `FEATURE_*`; an empty list is all names.
    ///   - acknowledges: Whether writers who wait for their change to be applied wait for
    ///     ``WatchSequence/acknowledge(_:as:)`` of this watch.
    public func events(
        _ environment: String,
        since: WatchCursor? = nil,
        names: [String] = [],
        acknowledges: Bool = false
    ) -> WatchSequence {
        WatchSequence(
            session: WatchSession(
                settings: settings,
                address: address,
                subscription: WatchSubscription(environment: environment, since: since, names: names, acknowledges: acknowledges),
                eventLoop: MultiThreadedEventLoopGroup.singleton.next()
            )
        )
    }
}
