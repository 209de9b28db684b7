// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// What RFC 9112 and request smuggling forbid about the fields of one head, judged as each line ends. Owned by a head parser.
/// Every rule refuses; none repairs: two parsers in a row that repair differently are how smuggling works.
struct HeadRules: Sendable {
    enum Kind: UInt8, Sendable {
        case request, response
    }

    let kind: Kind
    var version = HTTPVersion.http11
    private(set) var contentLength: UInt64?
    private(set) var isChunked = false
    private(set) var connectionCloses = false
    private(set) var connectionKeepsAlive = false
    private(set) var connectionUpgrades = false
    private(set) var expectsContinue = false
    private var hasHost = false

    init(kind: Kind) {
        self.kind = kind
    }

    mutating func fieldRead(
        _ name: HTTPFieldName,
        _ bytes: UnsafeBufferPointer<UInt8>,
        _ value: Range<Int>
    ) throws(HTTPFault) {
        switch name {
        case .host:
            guard kind == .request else { return }
            if hasHost { throw .repeatedHost }
            guard HostRule.isValid(bytes, value) else { throw .badHost }
            hasHost = true
        case .contentLength:
            if isChunked { throw .lengthWithTransferEncoding }
            if contentLength != nil { throw .repeatedContentLength }
            contentLength = try Self.length(bytes, value)
        case .transferEncoding:
            if contentLength != nil { throw .lengthWithTransferEncoding }
            if version == .http10 { throw .transferEncodingOnHTTP10 }
            // Byte for byte in requests: a server behind us that compares case would frame `CHUNKED` otherwise than we do.
            let isExact = ASCII.equals(bytes, value, "chunked")
            let isAccepted = isExact || kind == .response && ASCII.equalsIgnoringCase(bytes, value, "chunked")
            if isChunked || !isAccepted { throw .badTransferEncoding }
            isChunked = true
        case .connection:
            connectionRead(bytes, value)
        case .upgrade:
            if kind == .request, Self.offersHTTP2(bytes, value) { throw .upgradeToHTTP2 }
        case .expect:
            expectsContinue = ASCII.equalsIgnoringCase(bytes, value, "100-continue")
        default:
            return
        }
    }

    func headEnded() throws(HTTPFault) {
        if kind == .request, version == .http11, !hasHost { throw .missingHost }
    }

    /// RFC 9112 section 9.3.
    var isPersistent: Bool {
        !connectionCloses && (version == .http11 || connectionKeepsAlive)
    }

    private mutating func connectionRead(_ bytes: UnsafeBufferPointer<UInt8>, _ value: Range<Int>) {
        var (closes, keepsAlive, upgrades) = (connectionCloses, connectionKeepsAlive, connectionUpgrades)
        ASCII.forEachElement(bytes, value) { element in
            closes = closes || ASCII.equalsIgnoringCase(bytes, element, "close")
            keepsAlive = keepsAlive || ASCII.equalsIgnoringCase(bytes, element, "keep-alive")
            upgrades = upgrades || ASCII.equalsIgnoringCase(bytes, element, "upgrade")
            return true
        }
        (connectionCloses, connectionKeepsAlive, connectionUpgrades) = (closes, keepsAlive, upgrades)
    }

    private static func offersHTTP2(_ bytes: UnsafeBufferPointer<UInt8>, _ value: Range<Int>) -> Bool {
        var found = false
        ASCII.forEachElement(bytes, value) { element in
            found = ASCII.equalsIgnoringCase(bytes, element, "h2c")
            return !found
        }
        return found
    }

    /// Digits only: no sign, no list, no hexadecimal. Above 2^63 − 1 somebody's arithmetic would overflow, so it is refused.
    private static func length(_ bytes: UnsafeBufferPointer<UInt8>, _ value: Range<Int>) throws(HTTPFault) -> UInt64 {
        guard !value.isEmpty else { throw .badContentLength }
        var length: UInt64 = 0
        for index in value {
            guard ASCII.isDigit(bytes[index]) else { throw .badContentLength }
            // Below 2^63 / 10 neither step can wrap around.
            guard length <= UInt64(Int64.max) / 10 else { throw .badContentLength }
            length = length * 10 + UInt64(bytes[index] &- 0x30)
        }
        guard length <= UInt64(Int64.max) else { throw .badContentLength }
        return length
    }
}
