// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Logging
import Wire

/// One line a request, where it is switched on. Makes no text while it is off: `LoggedRequest` exists only then.
struct AccessLog: Sendable {
    private let logger: Logger

    init(_ logger: Logger) {
        self.logger = logger
    }

    func write(_ request: LoggedRequest, _ outcome: LoggedRequest.Outcome) {
        logger.log(
            .info,
            "request",
            [
                .client: request.client,
                .request: request.id,
                .method: request.method,
                .path: request.target,
                .pool: outcome.pool,
                .server: outcome.server,
                .status: String(outcome.status),
                .bytes: String(outcome.bytes),
                .duration: String(outcome.milliseconds),
                .cause: outcome.cause.rawValue,
            ]
        )
    }
}

/// What a request was, kept until its response is out. Owned by its exchange.
struct LoggedRequest {
    let client: String
    let id: String
    let method: String
    let target: String

    struct Outcome {
        let pool: String
        let server: String
        let status: Int
        let bytes: UInt64
        let milliseconds: Double
        let cause: TerminationCause
    }

    init(_ head: RequestHead, in bytes: Span<UInt8>, client: String, id: String) {
        self.client = client
        self.id = id
        method = bytes.string(head.methodRange)
        target = Self.redacted(head, bytes)
    }

    /// The target with `-` for every `access_token`, however its name is spelled.
    private static func redacted(_ head: RequestHead, _ bytes: Span<UInt8>) -> String {
        guard let query = head.query else { return bytes.string(head.target) }
        var parts: [String] = []
        var start = query.lowerBound
        while start <= query.upperBound {
            var end = start
            while end < query.upperBound, bytes[end] != 0x26, bytes[end] != 0x3B { end += 1 }
            let equals = (start..<end).first { bytes[$0] == 0x3D } ?? end
            let name = QueryParameters.percentDecoded(start..<equals, in: bytes, plusIsBlank: true)
            let isToken = name.lowercased() == "access_token"
            parts.append(isToken ? bytes.string(start..<equals) + "=-" : bytes.string(start..<end))
            start = end + 1
        }
        return bytes.string(head.path) + "?" + parts.joined(separator: "&")
    }
}

/// What ended a request.
enum TerminationCause: String {
    case done
    /// The balancer answered itself.
    case refused
    case clientGone = "client_gone"
    case clientTimeout = "client_timeout"
    case serverFailed = "server_failed"
    case serverTimeout = "server_timeout"
}
