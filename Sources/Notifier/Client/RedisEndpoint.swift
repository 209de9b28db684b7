// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Reactor

// How a process talks to Redis: from a URL to a connection that comes back by itself.
// Flows through: commands out in the order they were given, replies back in the same order, published messages as they arrive.
// Owner: a RedisLink owns one RedisConnection at a time; RedisClient (commands) and ChangeSubscriber own a link each. All on one loop.
// Must hold: no queue without a limit in bytes; a command is answered or failed exactly once; a Redis that stays silent for 600 ms is away;
//   no password in a description, an error or a log line.

/// Where Redis is and who we are there, read from its URL.
package struct RedisEndpoint: Hashable, Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package let endpoint: Endpoint
    let user: String?
    let password: String?
    package let database: Int

    /// Reads `redis://[[user]:password@]host[:port][/database]`, `redis+unix:///path[?db=N]` or `unix:///path[?db=N]`.
    ///
    /// - Throws: `redis_url_invalid`, or `redis_url_unsupported` for schemes that need TLS, Sentinel or Cluster.
    package init(parsing text: String) throws(NotifierError) {
        guard let separator = text.firstRange(of: "://") else { throw Self.invalid("it has no scheme") }
        let rest = text[separator.upperBound...]
        switch text[..<separator.lowerBound].lowercased() {
        case "redis": try self.init(network: rest)
        case "unix", "redis+unix", "redis+socket": try self.init(socket: rest)
        case "rediss", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster":
            throw NotifierError(
                .urlUnsupported,
                "Redis over TLS, Sentinel and Cluster are not supported yet: give the address of one server as redis://HOST:PORT"
            )
        default: throw Self.invalid("its scheme is unknown")
        }
    }

    private init(network rest: Substring) throws(NotifierError) {
        let (address, query) = Self.split(rest, at: "?")
        let (authority, path) = Self.split(address, at: "/")
        let (login, host) = Self.splitLogin(authority)
        (user, password) = try Self.credentials(login)
        endpoint = try Self.hostAndPort(host)
        database = try Self.database(path: path, query: query)
    }

    private init(socket rest: Substring) throws(NotifierError) {
        let (address, query) = Self.split(rest, at: "?")
        let (login, path) = Self.splitLogin(address)
        (user, password) = try Self.credentials(login)
        guard path.hasPrefix("/"), path.count > 1 else { throw Self.invalid("a socket's path is absolute") }
        let decoded = try Self.decoded(path)
        do throws(ReactorError) {
            endpoint = try Endpoint(parsing: "unix:" + decoded)
        } catch {
            throw Self.invalid("its socket path can't be used")
        }
        database = try Self.database(path: nil, query: query)
    }

    // MARK: Parts

    private static func invalid(_ why: String) -> NotifierError {
        // The URL itself stays out of the text: it may carry a password.
        NotifierError(.urlInvalid, "the Redis URL can't be used, \(why): write redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]")
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

    private static func credentials(_ login: Substring?) throws(NotifierError) -> (String?, String?) {
        guard let login else { return (nil, nil) }
        let (user, password) = split(login, at: ":")
        guard let password, !password.isEmpty else { throw invalid("a login needs a password") }
        return (user.isEmpty ? nil : try decoded(user), try decoded(password))
    }

    private static func hostAndPort(_ text: Substring) throws(NotifierError) -> Endpoint {
        guard !text.isEmpty else { return Endpoint(host: "127.0.0.1", port: 6379) }
        let hasPort = text.hasSuffix("]") ? false : text.contains(":")
        let refusal = invalid("its host or port is wrong")
        let endpoint: Endpoint
        do throws(ReactorError) {
            endpoint = try Endpoint(parsing: hasPort ? String(text) : text + ":6379")
        } catch {
            throw refusal
        }
        guard case .tcp(let host, let port) = endpoint.kind, port != 0 else { throw refusal }
        return host.isEmpty ? Endpoint(host: "127.0.0.1", port: port) : endpoint
    }

    private static func database(path: Substring?, query: Substring?) throws(NotifierError) -> Int {
        var text = path.flatMap { $0.isEmpty ? nil : $0 }
        for item in query?.split(separator: "&") ?? [] {
            guard item.hasPrefix("db=") else { throw invalid("it has an unknown option") }
            text = item.dropFirst(3)
        }
        guard let text else { return 0 }
        guard let number = Int(text), (0...65_535).contains(number) else { throw invalid("its database is not a number") }
        return number
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

    // MARK: What may be shown

    /// Without the password, on every way there is to print a value.
    package var description: String {
        let login = password == nil ? "" : "\(user ?? ""):***@"
        return switch endpoint.kind {
        case .tcp: "redis://\(login)\(endpoint)/\(database)"
        case .unix(let path): "redis+unix://\(login)\(path)?db=\(database)"
        }
    }

    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: ["url": description]) }
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
