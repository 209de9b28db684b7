// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Events of a `text/event-stream` (WHATWG HTML, "Server-sent events"), appended to the caller's buffer. Encoded once for all sockets.
package enum ServerSentEvent {
    package static let contentType: StaticString = "text/event-stream"

    /// One event with its empty line. `data` must be UTF-8; each of its lines becomes a `data` line, and the reader joins them with
    /// line feeds again. An `id` or `event` that a line cannot hold is left out, because half of it would mean something else.
    package static func append(
        event: String? = nil,
        data: Span<UInt8>,
        id: String? = nil,
        retry milliseconds: Int? = nil,
        to out: inout [UInt8]
    ) {
        if let id, fitsLine(id), !id.utf8.contains(0) { appendLine("id: ", id, to: &out) }
        if let event, fitsLine(event) { appendLine("event: ", event, to: &out) }
        if let milliseconds {
            out.append("retry: ")
            out.append(decimal: max(0, milliseconds))
            out.append(ASCII.lineFeed)
        }
        appendData(data, to: &out)
        out.append(ASCII.lineFeed)
    }

    package static func append(
        event: String? = nil,
        data: [UInt8],
        id: String? = nil,
        retry milliseconds: Int? = nil,
        to out: inout [UInt8]
    ) {
        append(event: event, data: data.span, id: id, retry: milliseconds, to: &out)
    }

    /// Readers skip it; proxies and operating systems see that the connection lives.
    package static func appendComment(_ text: StaticString = "", to out: inout [UInt8]) {
        out.append(ASCII.colon)
        out.append(text)
        out.append("\n\n")
    }

    private static func fitsLine(_ text: String) -> Bool {
        !text.utf8.contains { $0 == ASCII.lineFeed || $0 == ASCII.carriageReturn }
    }

    private static func appendLine(_ name: StaticString, _ value: String, to out: inout [UInt8]) {
        out.append(name)
        out.append(value)
        out.append(ASCII.lineFeed)
    }

    private static func appendData(_ data: Span<UInt8>, to out: inout [UInt8]) {
        out.reserveCapacity(out.count + data.count + 16)
        var start = 0
        while true {
            var end = start
            while end < data.count, data[end] != ASCII.lineFeed, data[end] != ASCII.carriageReturn { end += 1 }
            out.append("data: ")
            out.append(data, start..<end)
            out.append(ASCII.lineFeed)
            guard end < data.count else { return }
            let isPair = data[end] == ASCII.carriageReturn && end + 1 < data.count && data[end + 1] == ASCII.lineFeed
            start = end + (isPair ? 2 : 1)
        }
    }
}
