// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// The service's base URL, taken apart once.
struct ServerAddress: Sendable {
    let isSecure: Bool
    let host: String
    let port: Int
    /// The path in front of `/v1`, without a slash at its end.
    let prefix: String

    init(_ text: String) throws(ClientError) {
        guard let parts = URLComponents(string: text), let scheme = parts.scheme?.lowercased(), ["http", "https"].contains(scheme),
            let host = parts.host, !host.isEmpty
        else {
            throw Self.refused("The URL of the service must look like https://config.example.com; it is read from the settings.")
        }
        guard parts.user == nil, parts.password == nil, parts.query == nil, parts.fragment == nil else {
            throw Self.refused(
                "The URL of the service must not have credentials, a query or a fragment; the token is a setting of its own."
            )
        }
        isSecure = scheme == "https"
        // URLComponents keeps the brackets of an IPv6 address.
        self.host = host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host
        port = parts.port ?? (isSecure ? 443 : 80)
        var path = parts.percentEncodedPath
        while path.hasSuffix("/") { path.removeLast() }
        prefix = path
    }

    /// The value of the `Host` header.
    var authority: String {
        let name = host.contains(":") ? "[\(host)]" : host
        return port == (isSecure ? 443 : 80) ? name : "\(name):\(port)"
    }

    /// The absolute URL of a path such as `/v1/whoami`.
    func url(_ path: String) -> String {
        "\(isSecure ? "https" : "http")://\(authority)\(prefix)\(path)"
    }

    private static func refused(_ message: String) -> ClientError {
        ClientError(code: "invalid_url", message: message)
    }
}
