// Keyvane
// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Hummingbird
import NIOCore

/// Takes a request's body off the wire: a media type that the route reads, and no more than the limit.
enum RequestBodyReader {
    static func bytes(_ request: Request, _ mediaTypes: [String], limit: Int) async throws(Problem) -> [UInt8] {
        // Said beforehand, an oversized body is refused before a byte of it is kept.
        if let length = request.headers[.contentLength].flatMap({ Int($0) }), length > limit { throw tooLarge(limit) }
        let bytes: [UInt8]
        do {
            bytes = Array(buffer: try await request.body.collect(upTo: limit))
        } catch is NIOTooManyBytesError {
            throw tooLarge(limit)
        } catch {
            // Bad chunks, or the peer has gone. The parser ends the connection after this answer.
            throw Problem(.malformedRequest, "The body could not be read to its end.").with { $0.underlying = error }
        }
        // Of nothing the type doesn't matter: clients name one for an action without a body too.
        if !bytes.isEmpty { try checkMediaType(request, mediaTypes) }
        return bytes
    }

    private static func tooLarge(_ limit: Int) -> Problem {
        Problem(.bodyTooLarge, "The body is larger than \(limit) bytes. Send fewer changes at once.")
    }

    /// Without a Content-Type the body is taken for what the route expects (RFC 9110, section 8.3, allows the guess).
    private static func checkMediaType(_ request: Request, _ mediaTypes: [String]) throws(Problem) {
        guard let text = request.headers[.contentType] else { return }
        let parts = text.lowercased().split(separator: ";").map { $0.filter { !$0.isWhitespace } }
        let charsets = parts.dropFirst().filter { $0.hasPrefix("charset=") }.map { $0.dropFirst(8).filter { $0 != "\"" } }
        if parts.first.map(mediaTypes.contains) ?? false, charsets.allSatisfy({ $0 == "utf-8" }) { return }
        let types = mediaTypes.joined(separator: ", ")
        throw Problem(.unsupportedMediaType, "This route reads \(types), in UTF-8. Send the fitting `Content-Type`.")
            .with { $0.headers[.accept] = types }
    }
}
