// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Wire

/// `#expect` cannot carry a `Span`, which may not escape; so the tests hand in arrays.
extension [UInt8] {
    func text(_ range: Range<Int>) -> String { span.string(range) }

    func equals(_ range: Range<Int>, _ text: StaticString) -> Bool { span.equals(range, text) }

    func equalsIgnoringCase(_ range: Range<Int>, _ text: StaticString) -> Bool { span.equalsIgnoringCase(range, text) }
}

extension RequestHeadParser {
    mutating func parse(_ bytes: [UInt8]) throws(HTTPFault) -> HeadResult { try parse(bytes.span) }
}

extension ResponseHeadParser {
    mutating func parse(_ bytes: [UInt8]) throws(HTTPFault) -> HeadResult { try parse(bytes.span) }
}

extension RequestSummary {
    init(_ head: RequestHead, _ bytes: [UInt8]) { self.init(head, bytes.span) }
}

extension HTTPFields {
    func first(_ name: String, in bytes: [UInt8]) -> Range<Int>? { first(name, in: bytes.span) }

    func all(_ name: String, in bytes: [UInt8]) -> [Range<Int>] { all(name, in: bytes.span) }

    func string(_ name: HTTPFieldName, in bytes: [UInt8]) -> String? { string(name, in: bytes.span) }

    func string(_ name: String, in bytes: [UInt8]) -> String? { string(name, in: bytes.span) }

    func hasToken(_ token: StaticString, in name: HTTPFieldName, of bytes: [UInt8]) -> Bool {
        hasToken(token, in: name, of: bytes.span)
    }
}

extension BodyParser {
    mutating func advance(_ bytes: [UInt8]) throws(HTTPFault) -> BodyProgress { try advance(bytes.span) }

    mutating func parse(_ bytes: [UInt8], content: (Range<Int>) -> Void) throws(HTTPFault) -> BodyProgress {
        try parse(bytes.span, content: content)
    }
}

extension Cookies {
    static func first(_ name: String, of fields: HTTPFields, in bytes: [UInt8]) -> Range<Int>? {
        first(name, of: fields, in: bytes.span)
    }
}

extension QueryParameters {
    static func first(_ name: String, of query: Range<Int>?, in bytes: [UInt8]) -> String? { first(name, of: query, in: bytes.span) }

    static func percentDecoded(_ range: Range<Int>, in bytes: [UInt8], plusIsBlank: Bool) -> String {
        percentDecoded(range, in: bytes.span, plusIsBlank: plusIsBlank)
    }

    init(_ query: Range<Int>?, in bytes: [UInt8]) { self.init(query, in: bytes.span) }
}

extension UTF8Validator {
    static func isValid(_ bytes: [UInt8]) -> Bool { isValid(bytes.span) }

    mutating func validate(_ bytes: [UInt8]) -> Bool { validate(bytes.span) }
}

extension WebSocketHandshake {
    static func accept(for key: [UInt8]) -> String { accept(for: key.span) }
}

extension RESPReader {
    func feed(_ bytes: [UInt8]) throws(RESPFault) { try feed(bytes.span) }
}

extension WebSocketDeflate {
    static func negotiate(_ head: RequestHead, in bytes: [UInt8]) -> String? { negotiate(head, in: bytes.span) }
}

extension Deflater {
    func compress(_ message: [UInt8]) -> [UInt8] { compress(message.span) }
}

extension ServerSentEvent {
    static func text(event: String? = nil, data: String, id: String? = nil, retry: Int? = nil) -> String {
        var out: [UInt8] = []
        append(event: event, data: [UInt8](data.utf8), id: id, retry: retry, to: &out)
        return String(decoding: out, as: UTF8.self)
    }
}
