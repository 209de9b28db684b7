// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// What went wrong, for programs (`code`), for people (`message`) and for the log (`underlying`).
public struct ClientError: Error, Sendable {
    /// One faulty field of a refused request.
    public struct Fault: Sendable, Hashable, Codable {
        /// A JSON pointer into the request's body.
        public let pointer: String
        /// What is wrong there.
        public let detail: String

        /// Makes a fault.
        public init(pointer: String, detail: String) {
            self.pointer = pointer
            self.detail = detail
        }
    }

    /// A stable snake_case code: the server's own, or one of this library's (`invalid_url`, `invalid_token`,
    /// `invalid_environment`, `unreachable`, `timeout`, `cancelled`, `invalid_answer`, `message_too_large`, `connection_lost`,
    /// `silent`, and `closed_` with a number for close codes without a name).
    public let code: String
    /// What happened and what to do about it.
    public let message: String
    /// The HTTP status, where there was an answer.
    public let status: Int?
    /// The WebSocket close code, where the server sent one.
    public let closeCode: Int?
    /// The faulty fields.
    public let errors: [Fault]
    /// The current ETag that came with a 412.
    public let etag: String?
    /// How long the server asks to wait.
    public let retryAfter: Duration?
    /// The error underneath.
    public let underlying: (any Error)?

    /// Makes an error.
    public init(
        code: String,
        message: String,
        status: Int? = nil,
        closeCode: Int? = nil,
        errors: [Fault] = [],
        etag: String? = nil,
        retryAfter: Duration? = nil,
        underlying: (any Error)? = nil
    ) {
        self.code = code
        self.message = message
        self.status = status
        self.closeCode = closeCode
        self.errors = errors
        self.etag = etag
        self.retryAfter = retryAfter
        self.underlying = underlying
    }
}

extension ClientError: Equatable {
    /// Compares everything but the underlying error, which has no equality.
    public static func == (left: ClientError, right: ClientError) -> Bool {
        left.code == right.code && left.message == right.message && left.status == right.status
            && left.closeCode == right.closeCode && left.errors == right.errors && left.etag == right.etag
            && left.retryAfter == right.retryAfter
    }
}

extension ClientError: CustomStringConvertible {
    /// The code and the message, with the faulty fields.
    public var description: String {
        let faults = errors.map { " \($0.pointer): \($0.detail)" }.joined(separator: ";")
        return "\(code): \(message)" + (faults.isEmpty ? "" : " (" + faults.dropFirst() + ")")
    }
}
