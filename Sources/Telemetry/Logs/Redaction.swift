// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// What must be taken out of a text before it is logged.
package enum Redaction {
    /// A URL or a request target with `-` for each credential: the value of `access_token` or `password` in the query,
    /// and the password in front of the host.
    package static func url(_ url: String) -> String {
        query(userInfo(url))
    }

    private static func userInfo(_ url: String) -> String {
        guard let scheme = url.firstRange(of: "://") else { return url }
        let rest = url[scheme.upperBound...]
        let authority = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        var end = authority.lastIndex(of: "@")
        // A connection URL whose password holds a raw `/`, `?` or `#` is malformed, but the password is one all the same.
        if end == nil, !url.lowercased().hasPrefix("http"), !url.lowercased().hasPrefix("ws") { end = rest.lastIndex(of: "@") }
        guard let end, let colon = rest[..<end].firstIndex(of: ":") else { return url }
        return url[...colon] + "-" + url[end...]
    }

    private static func query(_ url: String) -> String {
        guard let mark = url.firstIndex(of: "?") else { return url }
        var result = String(url[...mark])
        var rest = url[url.index(after: mark)...]
        while !rest.isEmpty {
            let parameter = rest.prefix { $0 != "&" && $0 != "#" }
            if let equals = parameter.firstIndex(of: "="), isCredential(parameter[..<equals]) {
                result += parameter[...equals] + "-"
            } else {
                result += parameter
            }
            rest = rest[parameter.endIndex...]
            if let separator = rest.popFirst() { result.append(separator) }
        }
        return result
    }

    private static func isCredential(_ name: Substring) -> Bool {
        let name = percentDecoded(name).lowercased()
        return name == "access_token" || name == "password"
    }

    // A server takes `access%5Ftoken` for the same name.
    private static func percentDecoded(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), rest.count >= 2, let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
