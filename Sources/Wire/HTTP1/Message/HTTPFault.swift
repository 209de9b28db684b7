// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Why a message was refused. The raw value is the stable code for programs; `status` is what a server answers.
/// A client that meets one in a response (a balancer reading its upstream) answers 502 whatever `status` says.
package enum HTTPFault: String, Error, Sendable, CaseIterable {
    case badRequestLine = "bad_request_line"
    case badMethod = "bad_method"
    case methodTooLong = "method_too_long"
    case connectMethod = "connect_method"
    case badTarget = "bad_target"
    case absoluteTarget = "absolute_target"
    case badStatusLine = "bad_status_line"
    case unsupportedVersion = "unsupported_http_version"
    case bareCarriageReturn = "bare_cr"
    case bareLineFeed = "bare_lf"
    case foldedLine = "obs_fold"
    case spaceBeforeColon = "space_before_colon"
    case emptyFieldName = "empty_field_name"
    case badFieldName = "bad_field_name"
    case badFieldValue = "bad_field_value"
    case headTooLarge = "head_too_large"
    case tooManyFields = "too_many_fields"
    case missingHost = "missing_host"
    case repeatedHost = "repeated_host"
    case badHost = "bad_host"
    case badContentLength = "bad_content_length"
    case repeatedContentLength = "repeated_content_length"
    case lengthWithTransferEncoding = "length_with_transfer_encoding"
    case transferEncodingOnHTTP10 = "transfer_encoding_on_http_1_0"
    case badTransferEncoding = "bad_transfer_encoding"
    case upgradeToHTTP2 = "upgrade_to_h2c"
    case badChunk = "bad_chunk"
    case chunkExtensionTooLong = "chunk_extension_too_long"
    case badTrailer = "bad_trailer"
    case trailersTooLarge = "trailers_too_large"
    case notWebSocket = "not_a_websocket_upgrade"
    case badWebSocketRequest = "bad_websocket_request"
    case unsupportedWebSocketVersion = "unsupported_websocket_version"
    case badWebSocketKey = "bad_websocket_key"
    case badWebSocketExtensions = "bad_websocket_extensions"
    case badWebSocketAnswer = "bad_websocket_answer"

    package var code: String { rawValue }

    package var status: Int {
        switch self {
        case .headTooLarge, .tooManyFields, .trailersTooLarge: 431
        case .unsupportedWebSocketVersion: 426
        case .methodTooLong: 501
        case .unsupportedVersion: 505
        default: 400
        }
    }

    /// One line for people, with the remedy where there is one.
    package var message: String {
        switch self {
        case .badRequestLine: "the request line is not 'METHOD target HTTP/1.1'"
        case .badMethod: "the method is not a token"
        case .methodTooLong: "the method is longer than any this server knows"
        case .connectMethod: "CONNECT is not served here"
        case .badTarget: "the request target has bytes that must be percent-encoded"
        case .absoluteTarget: "send the target as a path; absolute URLs are for forward proxies"
        case .badStatusLine: "the status line is not 'HTTP/1.1 200 reason'"
        case .unsupportedVersion: "only HTTP/1.0 and HTTP/1.1 are spoken on this connection"
        case .bareCarriageReturn: "a CR without LF; lines end in CRLF"
        case .bareLineFeed: "an LF without CR; lines end in CRLF"
        case .foldedLine: "a header line starts with white space; line folding is not accepted"
        case .spaceBeforeColon: "white space between a header name and its colon"
        case .emptyFieldName: "a header line without a name"
        case .badFieldName: "a header name has bytes that are not allowed"
        case .badFieldValue: "a header value has control characters"
        case .headTooLarge: "the request head is too large; send fewer or shorter headers"
        case .tooManyFields: "too many headers"
        case .missingHost: "the Host header is missing"
        case .repeatedHost: "more than one Host header"
        case .badHost: "the Host header is not a host with an optional port"
        case .badContentLength: "Content-Length is not a single decimal number"
        case .repeatedContentLength: "more than one Content-Length"
        case .lengthWithTransferEncoding: "Content-Length together with Transfer-Encoding"
        case .transferEncodingOnHTTP10: "Transfer-Encoding on an HTTP/1.0 message"
        case .badTransferEncoding: "the only transfer coding accepted is 'chunked'"
        case .upgradeToHTTP2: "upgrade to h2c is not offered"
        case .badChunk: "the chunked body is malformed"
        case .chunkExtensionTooLong: "the chunk extensions are too long"
        case .badTrailer: "a trailer is malformed or may not be a trailer"
        case .trailersTooLarge: "the trailers are too large"
        case .notWebSocket: "send 'Connection: Upgrade' and 'Upgrade: websocket'"
        case .badWebSocketRequest: "a WebSocket upgrade is an HTTP/1.1 GET without a body"
        case .unsupportedWebSocketVersion: "the WebSocket version is 13"
        case .badWebSocketKey: "Sec-WebSocket-Key must be one base64 text of 16 bytes"
        case .badWebSocketExtensions: "Sec-WebSocket-Extensions is not a list of extensions"
        case .badWebSocketAnswer: "the answer to the WebSocket upgrade is not valid"
        }
    }
}
