// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Compression: gzip for the routes that ask for it.
// Flows through: a response's head -> `ResponseCoding`; its content -> `ResponseCompressor` -> chunks.
// Owner: an exchange owns its compressor; a loop has a bounded number of them.
// Must hold: what was sent is not held back; nothing is compressed twice, in part, or against anybody's word.

import Wire

/// What a compressing route does to one response.
enum ResponseCoding {
    case untouched
    /// It stays as it is, but to another client it might not: caches must know (`Vary`).
    case varies
    case gzip

    /// Below it gzip saves nothing that matters.
    private static let smallest: UInt64 = 1024

    /// `isWelcome`: the request allows it, and its client can be sent chunks.
    static func of(_ head: ResponseHead, _ bytes: Span<UInt8>, method: HTTPMethod, isWelcome: Bool) -> ResponseCoding {
        let fields = head.fields
        guard head.status >= 200, ![204, 205, 206, 304].contains(head.status), !fields.contains(.contentEncoding),
            // Somebody counts on the very bytes, or on fields behind them.
            !fields.contains(.trailer), !fields.contains(where: { isOfTheBytes($0, bytes) }),
            !fields.all(.cacheControl).contains(where: { CacheControl.forbidsTransforming(bytes, $0) }),
            let type = fields.first(.contentType), isCompressible(bytes, type)
        else { return .untouched }
        let length = head.isChunked ? nil : head.contentLength
        guard length ?? smallest >= smallest else { return .untouched }
        // HEAD's answer has no body that could show what it says.
        return isWelcome && method != .head ? .gzip : .varies
    }

    /// Checksums and ranges of the content as the server sent it.
    private static func isOfTheBytes(_ field: HTTPField, _ bytes: Span<UInt8>) -> Bool {
        guard field.known == nil else { return false }
        let names: [StaticString] = ["content-range", "content-md5", "digest", "content-digest", "repr-digest"]
        return names.contains { bytes.equalsIgnoringCase(field.name, $0) }
    }

    /// Event streams are left alone: they last, and each would hold a compressor for as long.
    private static func isCompressible(_ bytes: Span<UInt8>, _ value: Range<Int>) -> Bool {
        var end = value.lowerBound
        while end < value.upperBound, bytes[end] != 0x3B, bytes[end] != 0x20, bytes[end] != 0x09 { end += 1 }
        let type = value.lowerBound..<end
        if bytes.equalsIgnoringCase(type, "text/event-stream") { return false }
        if type.count > 5, bytes.equalsIgnoringCase(type.lowerBound..<type.lowerBound + 5, "text/") { return true }
        for suffix: StaticString in ["+json", "+xml", "+text"] {
            let length = suffix.utf8CodeUnitCount
            if type.count > length, bytes.equalsIgnoringCase(type.upperBound - length..<type.upperBound, suffix) { return true }
        }
        return types.contains { bytes.equalsIgnoringCase(type, $0) }
    }

    private static let types: [StaticString] = [
        "application/json", "application/javascript", "application/x-javascript", "application/ecmascript", "application/xml",
        "application/x-ndjson", "application/yaml", "application/x-yaml", "application/wasm", "application/vnd.ms-fontobject",
        "application/x-www-form-urlencoded", "font/ttf", "font/otf", "image/bmp", "image/x-icon", "image/vnd.microsoft.icon",
    ]
}
