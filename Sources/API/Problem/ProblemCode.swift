// Keyvane
// SPDX-License-Identifier: Apache-2.0

import HTTPTypes

/// Every code an error answer can carry, and the one table that gives each its status. Codes are part of the interface: they never change.
package enum ProblemCode: String, CaseIterable, Sendable {
    // 400: what can't be read at all.
    case malformedRequest = "malformed_request"
    case malformedJSON = "malformed_json"
    case malformedHeader = "malformed_header"
    case unknownParameter = "unknown_parameter"
    // 401 and 403: who it is, and what he may do where he may know of it.
    case missingToken = "missing_token"
    case invalidToken = "invalid_token"
    case notGranted = "not_granted"
    // 404 to 412: what is there, or isn't, or is something else than was thought.
    case notFound = "not_found"
    case methodNotAllowed = "method_not_allowed"
    case alreadyExists = "already_exists"
    case notEmpty = "not_empty"
    case kindConflict = "kind_conflict"
    case conflict = "conflict"
    case sinceTooOld = "since_too_old"
    case preconditionFailed = "precondition_failed"
    // 413 to 422: readable, but not acceptable.
    case bodyTooLarge = "body_too_large"
    case unsupportedMediaType = "unsupported_media_type"
    case invalidBody = "invalid_body"
    case invalidName = "invalid_name"
    case invalidParameter = "invalid_parameter"
    case environmentTooLarge = "environment_too_large"
    case idempotencyKeyReused = "idempotency_key_reused"
    // 429: wrong tokens, over and over.
    case tooManyFailedLogins = "too_many_failed_logins"
    // 500 and 503: ours. Everything before is the caller's to mend.
    case internalError = "internal_error"
    case unavailable = "unavailable"

    /// Written out without a default, so that a new code can't be forgotten here.
    var status: HTTPResponse.Status {
        switch self {
        case .malformedRequest, .malformedJSON, .malformedHeader, .unknownParameter: .badRequest
        case .missingToken, .invalidToken: .unauthorized
        case .notGranted: .forbidden
        case .notFound: .notFound
        case .methodNotAllowed: .methodNotAllowed
        case .alreadyExists, .notEmpty, .kindConflict, .conflict: .conflict
        case .sinceTooOld: .gone
        case .preconditionFailed: .preconditionFailed
        case .bodyTooLarge: .contentTooLarge
        case .unsupportedMediaType: .unsupportedMediaType
        case .invalidBody, .invalidName, .invalidParameter, .environmentTooLarge, .idempotencyKeyReused: .unprocessableContent
        case .tooManyFailedLogins: .tooManyRequests
        case .internalError: .internalServerError
        case .unavailable: .serviceUnavailable
        }
    }
}
