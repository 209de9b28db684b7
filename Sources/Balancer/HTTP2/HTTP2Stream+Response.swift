// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Wire

/// HTTP/1.1 bytes back to frames. Heads come whole, as all who write to clients write them.
extension HTTP2Stream {
    func translate(_ bytes: Span<UInt8>, _ connection: HTTP2Connection) {
        var offset = 0
        while offset < bytes.count {
            let rest = bytes.extracting(offset...)
            switch state {
            case .head:
                guard let used = translateHead(rest, connection) else {
                    connection.reset(self, .internalError)
                    return
                }
                offset += used
            case .body:
                offset += translateBody(rest)
            case .tunnel:
                output.append(rest)
                return
            case .ended, .broken:
                // What stands behind a whole response is nobody's.
                return
            }
        }
    }

    /// The head's length; nil where it is none.
    private func translateHead(_ bytes: Span<UInt8>, _ connection: HTTP2Connection) -> Int? {
        guard let session = connection.session, let head = connection.shared.readResponse(bytes) else { return nil }
        var response = HTTP2ResponseFields(status: head.status, fields: head.fields)
        switch head.status {
        case 101:
            guard isTunnel else { return nil }
            response = HTTP2ResponseFields(status: 200, fields: head.fields, opensTunnel: true)
            state = .tunnel
            session.submit(response, in: bytes, stream: id, hasBody: true)
        case 100..<200:
            session.submitInterim(response, in: bytes, stream: id)
        case 200..<300 where isTunnel:
            // Over HTTP/2 any of these says that the tunnel is open (RFC 8441 section 5).
            state = .ended
            session.submit(HTTP2ResponseFields(status: 502, fields: HTTPFields()), in: bytes, stream: id, hasBody: false)
        default:
            responseBody = BodyParser(head.framing(for: method))
            state = responseBody.isComplete ? .ended : .body
            session.submit(response, in: bytes, stream: id, hasBody: state == .body)
        }
        return head.length
    }

    /// Content goes to the output, framing stays here.
    private func translateBody(_ bytes: Span<UInt8>) -> Int {
        do throws(HTTPFault) {
            let progress = try responseBody.parse(bytes) { output.append(bytes.extracting($0)) }
            guard case .complete(let used) = progress else { return bytes.count }
            if case .chunked(let parser) = responseBody { trailers = parser.trailerFields }
            state = .ended
            return used
        } catch {
            state = .broken
            return bytes.count
        }
    }
}

/// A stream's bytes that wait for the client's window. An empty one owns no memory.
struct HTTP2Output {
    private var bytes: [UInt8] = []
    private var taken = 0

    var count: Int { bytes.count - taken }

    mutating func append(_ more: Span<UInt8>) {
        // Each byte moves to the front at most once per doubling.
        if taken > bytes.count / 2 {
            bytes.removeFirst(taken)
            taken = 0
        }
        bytes.append(more)
    }

    mutating func take(_ count: Int, into out: inout [UInt8]) {
        out.append(bytes.span.extracting(taken..<taken + count))
        taken += count
        if taken == bytes.count {
            bytes = []
            taken = 0
        }
    }
}
