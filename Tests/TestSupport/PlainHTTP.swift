// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// An answer as a test reads it.
package struct PlainAnswer: Sendable {
    package let status: Int
    /// Lower-case names; several fields of one name are joined by ", ".
    package let fields: [String: String]
    package let body: [UInt8]

    package var text: String { String(decoding: body, as: UTF8.self) }

    /// Reads one whole message; nil where it is none. Bodies by length, chunked, or to the end.
    package init?(_ bytes: [UInt8]) {
        guard let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) else { return nil }
        var lines = String(decoding: bytes[..<end.lowerBound], as: UTF8.self).split(separator: "\r\n", omittingEmptySubsequences: false)
        let statusLine = lines.removeFirst().split(separator: " ")
        guard statusLine.count >= 2, statusLine[0].hasPrefix("HTTP/1."), let status = Int(statusLine[1]) else { return nil }
        self.status = status
        var fields: [String: String] = [:]
        for line in lines {
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2 else { return nil }
            let value = parts[1].drop { $0 == " " }
            fields[parts[0].lowercased(), default: ""] += fields[parts[0].lowercased()] == nil ? String(value) : ", \(value)"
        }
        self.fields = fields
        let rest = Array(bytes[end.upperBound...])
        if fields["transfer-encoding"]?.lowercased() == "chunked" {
            guard let decoded = Self.dechunked(rest) else { return nil }
            body = decoded
        } else if let length = fields["content-length"].flatMap({ Int($0) }) {
            body = Array(rest.prefix(length))
        } else {
            body = rest
        }
    }

    private static func dechunked(_ bytes: [UInt8]) -> [UInt8]? {
        var (rest, body) = (bytes[...], [UInt8]())
        while let lineEnd = rest.firstRange(of: Array("\r\n".utf8)) {
            guard let size = Int(String(decoding: rest[..<lineEnd.lowerBound], as: UTF8.self), radix: 16) else { return nil }
            if size == 0 { return body }
            let data = rest[lineEnd.upperBound...].prefix(size)
            guard data.count == size else { return nil }
            body += data
            rest = rest[(data.endIndex + 2)...]
        }
        return nil
    }
}

/// HTTP/1.1 as text over a socket of its own, one connection a request.
package struct PlainHTTP: Sendable {
    package let port: UInt16
    package var token: String?

    package init(port: UInt16, token: String? = nil) {
        self.port = port
        self.token = token
    }

    package func call(
        _ method: String,
        _ target: String,
        body: String? = nil,
        fields: [(String, String)] = []
    ) async throws -> PlainAnswer {
        var head = "\(method) \(target) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        if let token { head += "Authorization: Bearer \(token)\r\n" }
        if let body { head += "Content-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n" }
        for (name, value) in fields { head += "\(name): \(value)\r\n" }
        let socket = try RawSocket(port: port)
        socket.write(head + "\r\n" + (body ?? ""))
        let bytes = await socket.readToEnd()
        guard let answer = PlainAnswer(bytes) else {
            throw DeadlinePassed("\(method) \(target): no HTTP answer but \(bytes.count) bytes")
        }
        return answer
    }
}
