// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Heads on their way out, appended to the caller's buffer: no intermediate strings. The caller owns the buffer and the order
/// (status or request line, fields, `end`). Text values are cleaned: a CR, LF or NUL in one becomes a blank, so that a value
/// can never start a line of its own. Ranges of a parsed head are copied as they are: the parser has vouched for them.
/// Names are literals or come from a parsed head. Nothing is counted or checked for completeness here; the callers' tests do.
/// Reason phrases are fixed; an unknown status gets an empty one.
package enum HeadWriter {
    package static func statusLine(_ status: Int, into out: inout [UInt8]) {
        out.append("HTTP/1.1 ")
        out.append(decimal: status)
        out.append(ASCII.space)
        out.append(ReasonPhrase.text(status))
        crlf(&out)
    }

    /// `target` must be a valid request target; one from a parsed head is.
    package static func requestLine(_ method: HTTPMethod, _ target: String, into out: inout [UInt8]) {
        out.append(method.text)
        out.append(ASCII.space)
        out.append(cleaning: target)
        out.append(" HTTP/1.1\r\n")
    }

    /// The parsed request's own method and target, now as HTTP/1.1.
    package static func requestLine(of head: RequestHead, in bytes: Span<UInt8>, into out: inout [UInt8]) {
        out.append(bytes, head.methodRange)
        out.append(ASCII.space)
        out.append(bytes, head.target)
        out.append(" HTTP/1.1\r\n")
    }

    /// The parsed response's own status and reason, now as HTTP/1.1.
    package static func statusLine(of head: ResponseHead, in bytes: Span<UInt8>, into out: inout [UInt8]) {
        out.append("HTTP/1.1 ")
        out.append(decimal: head.status)
        out.append(ASCII.space)
        out.append(bytes, head.reason)
        crlf(&out)
    }

    package static func field(_ name: HTTPFieldName, _ value: StaticString, into out: inout [UInt8]) {
        out.append(name.text)
        out.append(": ")
        out.append(value)
        crlf(&out)
    }

    package static func field(_ name: HTTPFieldName, _ value: String, into out: inout [UInt8]) {
        out.append(name.text)
        out.append(": ")
        out.append(cleaning: value)
        crlf(&out)
    }

    package static func field(_ name: HTTPFieldName, decimal value: some BinaryInteger, into out: inout [UInt8]) {
        out.append(name.text)
        out.append(": ")
        out.append(decimal: value)
        crlf(&out)
    }

    package static func field(_ name: String, _ value: String, into out: inout [UInt8]) {
        out.append(cleaning: name)
        out.append(": ")
        out.append(cleaning: value)
        crlf(&out)
    }

    /// A header line of a parsed head, name and value byte for byte.
    package static func field(_ field: HTTPField, in bytes: Span<UInt8>, into out: inout [UInt8]) {
        out.append(bytes, field.name)
        out.append(": ")
        out.append(bytes, field.value)
        crlf(&out)
    }

    /// A parsed line's name with another value made of pieces of the same bytes (a `Cookie` with one cookie less).
    package static func field(_ field: HTTPField, keeping pieces: [Range<Int>], in bytes: Span<UInt8>, into out: inout [UInt8]) {
        out.append(bytes, field.name)
        out.append(": ")
        for piece in pieces { out.append(bytes, piece) }
        crlf(&out)
    }

    package static func end(_ out: inout [UInt8]) {
        crlf(&out)
    }

    private static func crlf(_ out: inout [UInt8]) {
        out.append(ASCII.carriageReturn)
        out.append(ASCII.lineFeed)
    }
}

extension [UInt8] {
    fileprivate mutating func append(cleaning text: String) {
        let start = count
        append(contentsOf: text.utf8)
        for index in start..<count where self[index] == ASCII.carriageReturn || self[index] == ASCII.lineFeed || self[index] == 0 {
            self[index] = ASCII.space
        }
    }
}
