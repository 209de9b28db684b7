// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor

extension RedisEndpoint {
    /// Reads a Redis URL, in which `%XX` stands for any byte that would end its part:
    ///
    ///     redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]                    one server; also redis+unix:///PATH[?db=N], unix:///PATH[?db=N]
    ///     redis+sentinel://[[USER]:PASSWORD@]HOST[:PORT],…/MASTER[/DATABASE]  the master that these sentinels name
    ///     redis+cluster://[[USER]:PASSWORD@]HOST[:PORT],…                     a cluster, by some of its nodes
    ///
    /// With `rediss` the connections are TLS, also those to sentinels; then `?ca=FILE` names the certificates to trust and
    /// `certificate=FILE&key=FILE` our own. `sentinel_user` and `sentinel_password` are the login at the sentinels.
    ///
    /// - Throws: `redis_url_invalid`, also for a file that can't be used.
    package init(parsing text: String) throws(NotifierError) {
        guard let separator = text.firstRange(of: "://") else { throw Self.invalid("it has no scheme") }
        let (address, query) = Self.split(text[separator.upperBound...], at: "?")
        let scheme = text[..<separator.lowerBound].lowercased()
        let isSecure = scheme.hasPrefix("rediss")
        var options = try Self.options(query)
        switch scheme {
        case "redis", "rediss":
            let parts = try Parts(address)
            let database = options.take("db") ?? parts.path.flatMap { $0.isEmpty ? nil : String($0) }
            self.init(
                servers: [try Self.server(parts.hosts, defaultPort: 6379)],
                topology: .fixed,
                login: parts.login,
                tls: try Self.context(isSecure, &options),
                database: try Self.database(database)
            )
        case "redis+sentinel", "rediss+sentinel":
            let parts = try Parts(address)
            let (name, database) = Self.split(parts.path ?? "", at: "/")
            guard !name.isEmpty else { throw Self.invalid("it lacks the master's name") }
            self.init(
                servers: try Self.servers(parts.hosts, defaultPort: 26379),
                topology: .sentinel(master: try Self.decoded(name)),
                login: parts.login,
                sentinelLogin: try Self.sentinelLogin(&options),
                tls: try Self.context(isSecure, &options),
                database: try Self.database(database.map(String.init))
            )
        case "redis+cluster", "rediss+cluster":
            let parts = try Parts(address)
            guard parts.path?.isEmpty ?? true else { throw Self.invalid("a cluster has no databases to choose from") }
            self.init(
                servers: try Self.servers(parts.hosts, defaultPort: 6379),
                topology: .cluster,
                login: parts.login,
                tls: try Self.context(isSecure, &options)
            )
        case "unix", "redis+unix", "redis+socket":
            let (login, path) = Self.splitLogin(address)
            self.init(
                servers: [try Self.socket(path)],
                topology: .fixed,
                login: try login.map(Self.login),
                database: try Self.database(options.take("db"))
            )
        default:
            throw Self.invalid("its scheme is unknown")
        }
        if let name = options.names.first { throw Self.invalid("it has the unknown option '\(name)'") }
    }

    /// Login, hosts and what follows the first slash.
    private struct Parts {
        let login: RedisLogin?
        let hosts: Substring
        let path: Substring?

        init(_ address: Substring) throws(NotifierError) {
            let (authority, path) = RedisEndpoint.split(address, at: "/")
            let (login, hosts) = RedisEndpoint.splitLogin(authority)
            self.login = try login.map(RedisEndpoint.login)
            self.hosts = hosts
            self.path = path
        }
    }

    /// The query's items; what nobody has taken is unknown.
    private struct Options {
        private var values: [String: String] = [:]

        var names: [String] { values.keys.sorted() }

        mutating func set(_ name: String, _ value: String) { values[name] = value }
        mutating func take(_ name: String) -> String? { values.removeValue(forKey: name) }
    }

    // MARK: Parts

    private static func invalid(_ why: String, underlying: (any Error)? = nil) -> NotifierError {
        // The URL itself stays out of the text: it may carry a password.
        NotifierError(
            .urlInvalid,
            "the Redis URL can't be used, \(why): write redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE], redis+sentinel://HOST,HOST/MASTER "
                + "or redis+cluster://HOST,HOST, and rediss for redis where it is TLS",
            underlying: underlying
        )
    }

    private static func split(_ text: Substring, at separator: Character) -> (Substring, Substring?) {
        guard let position = text.firstIndex(of: separator) else { return (text, nil) }
        return (text[..<position], text[text.index(after: position)...])
    }

    /// The last `@` ends the login: a password may hold one that nobody escaped.
    private static func splitLogin(_ text: Substring) -> (Substring?, Substring) {
        guard let position = text.lastIndex(of: "@") else { return (nil, text) }
        return (text[..<position], text[text.index(after: position)...])
    }

    private static func login(_ text: Substring) throws(NotifierError) -> RedisLogin {
        let (user, password) = split(text, at: ":")
        guard let password, !password.isEmpty else { throw invalid("a login needs a password") }
        return RedisLogin(user: user.isEmpty ? nil : try decoded(user), password: try decoded(password))
    }

    private static func sentinelLogin(_ options: inout Options) throws(NotifierError) -> RedisLogin? {
        let (user, password) = (options.take("sentinel_user"), options.take("sentinel_password"))
        guard let password, !password.isEmpty else {
            guard user == nil, password == nil else { throw invalid("sentinel_user needs a sentinel_password") }
            return nil
        }
        return RedisLogin(user: user, password: password)
    }

    private static func servers(_ text: Substring, defaultPort: UInt16) throws(NotifierError) -> [Endpoint] {
        var servers: [Endpoint] = []
        for item in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard !item.isEmpty else { throw invalid("a host in it is empty") }
            servers.append(try server(item, defaultPort: defaultPort))
        }
        return servers
    }

    private static func server(_ text: Substring, defaultPort: UInt16) throws(NotifierError) -> Endpoint {
        guard !text.isEmpty else { return Endpoint(host: "127.0.0.1", port: defaultPort) }
        let hasPort = text.hasSuffix("]") ? false : text.contains(":")
        let refusal = invalid("its host or port is wrong")
        let endpoint: Endpoint
        do throws(ReactorError) {
            endpoint = try Endpoint(parsing: hasPort ? String(text) : "\(text):\(defaultPort)")
        } catch {
            throw refusal
        }
        guard case .tcp(let host, let port) = endpoint.kind, port != 0, !host.contains(",") else { throw refusal }
        return host.isEmpty ? Endpoint(host: "127.0.0.1", port: port) : endpoint
    }

    private static func socket(_ path: Substring) throws(NotifierError) -> Endpoint {
        guard path.hasPrefix("/"), path.count > 1 else { throw invalid("a socket's path is absolute") }
        let decoded = try decoded(path)
        do throws(ReactorError) {
            return try Endpoint(parsing: "unix:" + decoded)
        } catch {
            throw invalid("its socket path can't be used")
        }
    }

    private static func database(_ text: String?) throws(NotifierError) -> Int {
        guard let text else { return 0 }
        guard let number = Int(text), (0...65_535).contains(number) else { throw invalid("its database is not a number") }
        return number
    }

    private static func context(_ isSecure: Bool, _ options: inout Options) throws(NotifierError) -> TLSContext? {
        guard isSecure else { return nil }
        do throws(ReactorError) {
            return try TLSContext(authorities: options.take("ca"), certificate: options.take("certificate"), key: options.take("key"))
        } catch {
            throw NotifierError(.urlInvalid, "the Redis URL can't be used: \(error.message)", underlying: error)
        }
    }

    private static func options(_ query: Substring?) throws(NotifierError) -> Options {
        var options = Options()
        guard let query else { return options }
        // Then it began in a password, and none of it may be repeated.
        guard !query.contains("@") else { throw invalid("write %3F for a ? in a password, and %40 for an @ in an option") }
        for item in query.split(separator: "&") {
            let (name, value) = split(item, at: "=")
            options.set(try decoded(name), try decoded(value ?? ""))
        }
        return options
    }

    /// Percent escapes of RFC 3986.
    private static func decoded(_ text: Substring) throws(NotifierError) -> String {
        var bytes: [UInt8] = []
        var rest = Substring(text).utf8
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.popFirst().flatMap(\.hexValue), let low = rest.popFirst().flatMap(\.hexValue) else {
                throw invalid("a percent escape in it is wrong")
            }
            bytes.append(high << 4 | low)
        }
        guard let text = String(validating: bytes, as: UTF8.self), !text.utf8.contains(0) else { throw invalid("it isn't UTF-8") }
        return text
    }
}

extension UInt8 {
    /// The value of a hexadecimal digit, in either case.
    var hexValue: UInt8? {
        switch self {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): self - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): self - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): self - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
