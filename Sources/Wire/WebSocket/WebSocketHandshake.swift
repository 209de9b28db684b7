// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// The opening handshake (RFC 6455 section 4), server's and client's side, on parsed heads. Stateless.
package enum WebSocketHandshake {
    private static let identifier: StaticString = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

    /// A request that passed all checks of the server's side.
    package struct Upgrade: Sendable, Equatable {
        /// Where the key's text is.
        package let key: Range<Int>
        /// The `Sec-WebSocket-Accept` that belongs to it.
        package let accept: String
    }

    /// Does the request ask for this protocol at all? Then `check` decides whether it may have it.
    package static func isRequested(by head: RequestHead, in bytes: Span<UInt8>) -> Bool {
        head.wantsUpgrade && head.fields.hasToken("websocket", in: .upgrade, of: bytes)
    }

    /// `.unsupportedWebSocketVersion` is answered 426 with `Sec-WebSocket-Version: 13`, every other fault 400.
    package static func check(_ head: RequestHead, in bytes: Span<UInt8>) throws(HTTPFault) -> Upgrade {
        guard isRequested(by: head, in: bytes) else { throw .notWebSocket }
        // A body would be read as frames by one party and as a body by another.
        guard head.method == .get, head.version == .http11, head.framing == .none || head.framing == .length(0) else {
            throw .badWebSocketRequest
        }
        let versions = head.fields.all(.secWebSocketVersion)
        guard versions.count == 1, bytes.equals(versions[0], "13") else { throw .unsupportedWebSocketVersion }
        let keys = head.fields.all(.secWebSocketKey)
        guard keys.count == 1, isKey(bytes, keys[0]) else { throw .badWebSocketKey }
        // What breaks the grammar fails the connection (section 9.1); what is merely unknown is declined.
        guard !head.fields.contains(.secWebSocketExtensions) || ExtensionList(head.fields, in: bytes) != nil else {
            throw .badWebSocketExtensions
        }
        return Upgrade(key: keys[0], accept: accept(for: bytes.extracting(keys[0])))
    }

    /// The `Sec-WebSocket-Accept` of a key's text.
    package static func accept(for key: Span<UInt8>) -> String {
        var text = key.array()
        text.append(identifier)
        return ByteText.base64(SHA1.digest(text))
    }

    /// The client's first wish that is in `supported`. RFC 6455 lets the server choose; the client's order is its preference.
    package static func subprotocol(of head: RequestHead, in bytes: Span<UInt8>, supported: [String]) -> String? {
        var chosen: String?
        head.fields.forEachElement(of: .secWebSocketProtocol, in: bytes) { element in
            if chosen == nil { chosen = supported.first { bytes.string(element) == $0 } }
        }
        return chosen
    }

    /// The 101 with its empty line. `extensions`: what `WebSocketDeflate.negotiate` found.
    package static func response(
        accept: String,
        subprotocol: String? = nil,
        extensions: String? = nil,
        extraFields: [(name: String, value: String)] = []
    ) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(192)
        HeadWriter.statusLine(101, into: &out)
        HeadWriter.field(.upgrade, "websocket", into: &out)
        HeadWriter.field(.connection, "Upgrade", into: &out)
        HeadWriter.field(.secWebSocketAccept, accept, into: &out)
        if let subprotocol { HeadWriter.field(.secWebSocketProtocol, subprotocol, into: &out) }
        if let extensions { HeadWriter.field(.secWebSocketExtensions, extensions, into: &out) }
        for field in extraFields { HeadWriter.field(field.name, field.value, into: &out) }
        HeadWriter.end(&out)
        return out
    }

    /// The answer to a version other than 13, or to any other fault of `check`.
    package static func refusal(of fault: HTTPFault, keepAlive: Bool) -> [UInt8] {
        HTTPResponseBytes.simple(
            status: fault.status,
            body: fault.message + "\n",
            extraFields: fault == .unsupportedWebSocketVersion
                ? [("Sec-WebSocket-Version", "13"), ("Upgrade", "websocket")] : [],
            keepAlive: keepAlive
        )
    }

    /// A client's key: base64 of 16 random bytes.
    package static func key(_ nonce: (UInt64, UInt64)) -> String {
        var bytes: [UInt8] = []
        withUnsafeBytes(of: nonce.0.bigEndian) { bytes.append(contentsOf: $0) }
        withUnsafeBytes(of: nonce.1.bigEndian) { bytes.append(contentsOf: $0) }
        return ByteText.base64(bytes)
    }

    /// The client's request with its empty line.
    package static func request(
        target: String,
        host: String,
        key: String,
        subprotocols: [String] = [],
        extensions: String? = nil,
        extraFields: [(name: String, value: String)] = []
    ) -> [UInt8] {
        var out: [UInt8] = []
        HeadWriter.requestLine(.get, target, into: &out)
        HeadWriter.field(.host, host, into: &out)
        HeadWriter.field(.upgrade, "websocket", into: &out)
        HeadWriter.field(.connection, "Upgrade", into: &out)
        HeadWriter.field(.secWebSocketVersion, "13", into: &out)
        HeadWriter.field(.secWebSocketKey, key, into: &out)
        if !subprotocols.isEmpty { HeadWriter.field(.secWebSocketProtocol, subprotocols.joined(separator: ", "), into: &out) }
        if let extensions { HeadWriter.field(.secWebSocketExtensions, extensions, into: &out) }
        for field in extraFields { HeadWriter.field(field.name, field.value, into: &out) }
        HeadWriter.end(&out)
        return out
    }

    /// RFC 6455 section 4.1: is this 101 the answer to our key? Returns the subprotocol the server chose.
    /// `offered` are the subprotocols of the request. An extension is refused, unless the request had `WebSocketDeflate.offer` in it;
    /// then `WebSocketDeflate.isAgreed` says what became of that.
    package static func verify(
        _ head: ResponseHead,
        in bytes: Span<UInt8>,
        key: String,
        offered: [String] = [],
        offersDeflate: Bool = false
    ) throws(HTTPFault) -> String? {
        guard isAccepted(head, in: bytes, key: [UInt8](key.utf8).span) else { throw .badWebSocketAnswer }
        if try WebSocketDeflate.isAgreed(head, in: bytes), !offersDeflate { throw .badWebSocketAnswer }
        let chosen = head.fields.all(.secWebSocketProtocol)
        guard let first = chosen.first else { return nil }
        let subprotocol = bytes.string(first)
        guard chosen.count == 1, offered.contains(subprotocol) else { throw .badWebSocketAnswer }
        return subprotocol
    }

    /// The part of `verify` that a proxy needs: status 101, the upgrade, and the accept text that belongs to the client's key.
    package static func isAccepted(_ head: ResponseHead, in bytes: Span<UInt8>, key: Span<UInt8>) -> Bool {
        let accepts = head.fields.all(.secWebSocketAccept)
        guard head.status == 101, head.version == .http11, head.connectionUpgrades, accepts.count == 1,
            head.fields.hasToken("websocket", in: .upgrade, of: bytes)
        else { return false }
        return bytes.string(accepts[0]) == accept(for: key)
    }

    /// 16 bytes are 22 digits and two equals signs.
    private static func isKey(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Bool {
        guard range.count == 24 else { return false }
        let end = range.upperBound
        for index in range.lowerBound..<end - 2 where !ByteText.isBase64(bytes[index]) { return false }
        return bytes[end - 2] == ASCII.equals && bytes[end - 1] == ASCII.equals
    }
}
