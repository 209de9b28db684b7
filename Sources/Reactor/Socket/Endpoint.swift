// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Where to listen or connect, as people write it: `127.0.0.1:8080`, `[::1]:8080`, `:8080` (every address), `host:8080`, `unix:/run/x.sock`.
package struct Endpoint: Hashable, Sendable, CustomStringConvertible {
    package enum Kind: Hashable, Sendable {
        case tcp(host: String, port: UInt16)
        case unix(path: String)
    }

    package let kind: Kind

    package init(host: String, port: UInt16) {
        kind = .tcp(host: host, port: port)
    }

    package init(unix path: String) {
        kind = .unix(path: path)
    }

    /// - Throws: `address_invalid` with what is allowed.
    package init(parsing text: String) throws(ReactorError) {
        if text.hasPrefix("unix:") {
            kind = .unix(path: String(text.dropFirst(5)))
            return
        }
        let refusal = ReactorError(.addressInvalid, "'\(text)' is no address: write HOST:PORT, [IPV6]:PORT, :PORT or unix:/PATH")
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else { throw refusal }
        var host = String(text[..<colon])
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = String(host.dropFirst().dropLast())
        } else if host.contains(":") {
            throw refusal
        }
        guard !host.contains(where: { $0.isWhitespace || $0 == "/" }) else { throw refusal }
        kind = .tcp(host: host, port: port)
    }

    package init(_ address: SocketAddress) {
        switch address {
        case .v4(_, let port), .v6(_, let port, _): kind = .tcp(host: address.host, port: port)
        case .unix(let path): kind = .unix(path: path)
        }
    }

    /// The address itself where no name has to be looked up. An empty host is every IPv4 address.
    package var numeric: SocketAddress? {
        switch kind {
        case .unix(let path): .unix(path)
        case .tcp(let host, let port): SocketAddress(numeric: host.isEmpty ? "0.0.0.0" : host, port: port)
        }
    }

    /// nil for a Unix socket.
    package var port: UInt16? {
        switch kind {
        case .tcp(_, let port): port
        case .unix: nil
        }
    }

    /// Its name or numeric address; a Unix socket has none.
    var host: String {
        switch kind {
        case .tcp(let host, _): host
        case .unix: ""
        }
    }

    package var description: String {
        switch kind {
        case .unix(let path): "unix:\(path)"
        case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        }
    }
}
