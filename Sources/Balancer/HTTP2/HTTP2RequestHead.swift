// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Wire

/// A header block becomes the text of an HTTP/1.1 head, which then passes the same parser and rules as every other request. Owned by a
/// connection while a block is read. What could change its meaning on the way into text is refused here: nothing is repaired.
struct HTTP2RequestHead {
    enum Outcome: Equatable {
        /// `bytes` are the head.
        case request(Shape)
        /// RFC 9113 section 8.1.1: the stream is reset.
        case malformed
        /// Answered like an HTTP/1.1 request with this fault.
        case refused(HTTPFault)
    }

    /// How the rest of the request is written.
    enum Shape: Equatable {
        case none
        case length(UInt64)
        case chunked
        /// An extended CONNECT: what follows are a WebSocket's bytes.
        case tunnel
    }

    private(set) var bytes: [UInt8] = []
    private(set) var isHead = false
    private let limit: Int
    /// The texts of the pseudo headers, one behind the other.
    private var pseudo: [UInt8] = []
    private var method: Range<Int>?
    private var path: Range<Int>?
    private var authority: Range<Int>?
    private var hasScheme = false
    private var hasProtocol = false
    private var isWebSocket = false
    private var cookies: [UInt8] = []
    private var length: UInt64?
    private var hasHost = false
    private var listBytes = 0
    private var isOpen = false
    private var isMalformed = false

    /// `limit`: of the list's size as RFC 9113 section 6.5.2 counts it.
    init(limit: Int) {
        self.limit = limit
    }

    var isTooLarge: Bool { listBytes > limit }
    /// A few bytes on the wire can name the same long field again and again.
    var isBomb: Bool { listBytes > limit * 8 }

    /// Ready for the next block; buffers keep their capacity.
    mutating func reset() {
        var fresh = HTTP2RequestHead(limit: limit)
        swap(&fresh.bytes, &bytes)
        swap(&fresh.pseudo, &pseudo)
        swap(&fresh.cookies, &cookies)
        fresh.bytes.removeAll(keepingCapacity: true)
        fresh.pseudo.removeAll(keepingCapacity: true)
        fresh.cookies.removeAll(keepingCapacity: true)
        self = fresh
    }

    // MARK: Fields

    mutating func add(_ name: Span<UInt8>, _ value: Span<UInt8>) {
        listBytes += name.count + value.count + 32
        guard !isMalformed, !isTooLarge else { return }
        guard !name.isEmpty, Self.isPlain(value) else {
            isMalformed = true
            return
        }
        if name[0] == 0x3A {
            addPseudo(name, value)
        } else {
            if !isOpen { open() }
            if !isMalformed { addField(name, value) }
        }
    }

    private mutating func addPseudo(_ name: Span<UInt8>, _ value: Span<UInt8>) {
        // Behind a regular field, twice, or empty: malformed (section 8.3).
        guard !isOpen, !value.isEmpty, !value.contains({ $0 <= 0x20 || $0 >= 0x7F }) else {
            isMalformed = true
            return
        }
        let whole = 0..<name.count
        let range = pseudo.count..<pseudo.count + value.count
        if name.equals(whole, ":method"), method == nil {
            guard Self.isToken(value) else {
                isMalformed = true
                return
            }
            method = range
        } else if name.equals(whole, ":path"), path == nil {
            path = range
        } else if name.equals(whole, ":authority"), authority == nil {
            authority = range
        } else if name.equals(whole, ":scheme"), !hasScheme {
            hasScheme = true
            isMalformed = !value.equals(0..<value.count, "https") && !value.equals(0..<value.count, "http")
        } else if name.equals(whole, ":protocol"), !hasProtocol {
            hasProtocol = true
            isWebSocket = value.equals(0..<value.count, "websocket")
        } else {
            isMalformed = true
        }
        pseudo.append(value)
    }

    /// All pseudo headers are there: the request line and `Host`.
    private mutating func open() {
        isOpen = true
        guard let method else {
            isMalformed = true
            return
        }
        // A second name for the buffer, so that it can be read while this changes.
        let held = pseudo
        let text = held.span
        let isConnect = text.equals(method, "CONNECT")
        isHead = text.equals(method, "HEAD")
        // A plain CONNECT has no path, and is refused whatever it has. `:protocol` belongs to CONNECT alone (RFC 8441 section 4).
        guard !hasProtocol || isConnect else {
            isMalformed = true
            return
        }
        if isConnect, !hasProtocol {
            isMalformed = authority == nil || path != nil || hasScheme
            return
        }
        guard let path, hasScheme, !hasProtocol || authority != nil else {
            isMalformed = true
            return
        }
        if isConnect { bytes.append("GET") } else { bytes.append(text.extracting(method)) }
        bytes.append(0x20)
        bytes.append(text.extracting(path))
        bytes.append(" HTTP/1.1\r\n")
        guard let authority else { return }
        bytes.append("host: ")
        bytes.append(text.extracting(authority))
        bytes.append("\r\n")
    }

    private mutating func addField(_ name: Span<UInt8>, _ value: Span<UInt8>) {
        guard Self.isLowerCaseToken(name) else {
            isMalformed = true
            return
        }
        let whole = 0..<name.count
        switch name.count {
        case 2 where name.equals(whole, "te"):
            // Trailers are passed on anyhow; nothing else may be asked for.
            isMalformed = !value.equals(0..<value.count, "trailers")
            return
        case 4 where name.equals(whole, "host"):
            return addHost(value)
        case 6 where name.equals(whole, "cookie"):
            // Browsers send crumbs (section 8.2.3); a server behind us wants one line.
            if !cookies.isEmpty { cookies.append("; ") }
            cookies.append(value)
            return
        case 7 where name.equals(whole, "upgrade"), 10 where name.equals(whole, "connection") || name.equals(whole, "keep-alive"),
            16 where name.equals(whole, "proxy-connection"), 17 where name.equals(whole, "transfer-encoding"):
            isMalformed = true
            return
        case 14 where name.equals(whole, "content-length"):
            guard length == nil, let count = Self.decimal(value) else {
                isMalformed = true
                return
            }
            length = count
        case 17 where isWebSocket && name.equals(whole, "sec-websocket-key"):
            // RFC 8441 has none; ours is the one the answer is checked against.
            return
        default:
            break
        }
        bytes.append(name)
        bytes.append(": ")
        bytes.append(value)
        bytes.append("\r\n")
    }

    /// Two names of one host would be read by two parsers as two hosts: they must be equal (section 8.3.1).
    private mutating func addHost(_ value: Span<UInt8>) {
        guard !hasHost else {
            isMalformed = true
            return
        }
        hasHost = true
        if let authority {
            let held = pseudo
            let text = held.span.extracting(authority)
            isMalformed = text.count != value.count || text.indices.contains { text[$0] != value[$0] }
        } else {
            bytes.append("host: ")
            bytes.append(value)
            bytes.append("\r\n")
        }
    }

    // MARK: End

    /// The block is complete. `key` makes the key of a WebSocket's handshake.
    mutating func end(endsStream: Bool, key: () -> String) -> Outcome {
        if isTooLarge { return .refused(.headTooLarge) }
        if !isOpen, !isMalformed { open() }
        if isMalformed { return .malformed }
        // Nothing was written: a CONNECT of the old kind, or to a protocol that isn't spoken here.
        if bytes.isEmpty || hasProtocol && !isWebSocket { return .refused(.connectMethod) }
        if !cookies.isEmpty {
            bytes.append("cookie: ")
            bytes.append(contentsOf: cookies)
            bytes.append("\r\n")
        }
        let shape = shape(endsStream: endsStream)
        switch shape {
        case .none, .length:
            break
        case .chunked:
            bytes.append("transfer-encoding: chunked\r\n")
        case .tunnel:
            bytes.append("connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: ")
            bytes.append(key())
            bytes.append("\r\n")
        }
        // A promise of bytes that the stream's end has broken already.
        if endsStream, let length, length > 0 { return .malformed }
        bytes.append("\r\n")
        return .request(shape)
    }

    private func shape(endsStream: Bool) -> Shape {
        if isWebSocket { return .tunnel }
        if endsStream { return .none }
        return length.map { .length($0) } ?? .chunked
    }

    // MARK: Characters

    /// Nothing that ends a line, and no blanks at the ends (section 8.2.1). Other controls are the HTTP/1.1 parser's to refuse.
    static func isPlain(_ value: Span<UInt8>) -> Bool {
        guard let count = value.isEmpty ? nil : value.count else { return true }
        let blank: (UInt8) -> Bool = { $0 == 0x20 || $0 == 0x09 }
        return !blank(value[0]) && !blank(value[count - 1]) && !value.contains { $0 == 0x0D || $0 == 0x0A || $0 == 0 }
    }

    static func isLowerCaseToken(_ name: Span<UInt8>) -> Bool {
        isToken(name) && !name.contains { $0 &- 0x41 < 26 }
    }

    private static func isToken(_ text: Span<UInt8>) -> Bool {
        !text.isEmpty && !text.contains { !ASCII.isToken($0) }
    }

    /// As strict as the HTTP/1.1 parser, whose number must be the same.
    private static func decimal(_ value: Span<UInt8>) -> UInt64? {
        guard (1...18).contains(value.count), !value.contains({ $0 &- 0x30 > 9 }) else { return nil }
        var number: UInt64 = 0
        for index in value.indices { number = number * 10 + UInt64(value[index] - 0x30) }
        return number
    }
}

extension Span where Element == UInt8 {
    fileprivate func contains(_ isMeant: (UInt8) -> Bool) -> Bool {
        for index in indices where isMeant(self[index]) { return true }
        return false
    }
}
