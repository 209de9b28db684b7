// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// What the store refuses or cannot do. It carries no value, secret or token, and nothing that PostgreSQL said beyond its SQLSTATE.
package struct StoreError: Error, Hashable, CustomStringConvertible {
    package enum Code: String, Sendable {
        case notFound = "not_found"
        case conflict
        /// An idempotency key came with another request than the first time.
        case idempotencyKeyReused = "idempotency_key_reused"
        /// The log doesn't reach back that far.
        case revisionTooOld = "revision_too_old"
        case preconditionFailed = "precondition_failed"
        /// What a mutation was based on is no longer so; it never leaves `mutate(planned:)`.
        case moved
        case invalid
        case environmentTooLarge = "environment_too_large"
        /// PostgreSQL is away, or too much is waiting for it. Whether a mutation took effect is then unknown.
        case unavailable
        case configurationInvalid = "configuration_invalid"
        case schemaTooNew = "schema_too_new"
        case schemaMissing = "schema_missing"
        case masterKeyMissing = "master_key_missing"
        case masterKeyWrong = "master_key_wrong"
        /// A sealed value doesn't belong to the place it was found in, or was damaged.
        case sealedValueUnreadable = "sealed_value_unreadable"
        case internalError = "internal_error"
    }

    package let code: Code
    /// For people: what was wrong and what to do.
    package let message: String
    /// The offending input field of `invalid`: `name`, `changes/3/value`.
    package let field: String?
    /// The present version (or revision, where a revision was asked for) of `preconditionFailed`; nil where the entry doesn't exist.
    package let current: Int64?
    /// For the log only: the SQLSTATE and what was being done.
    package let underlying: String?

    static let idempotencyKeyReused = StoreError(
        .idempotencyKeyReused,
        "this idempotency key came with another request before: use a new one for a new request"
    )

    package init(_ code: Code, _ message: String, field: String? = nil, current: Int64? = nil, underlying: String? = nil) {
        self.code = code
        self.message = message
        self.field = field
        self.current = current
        self.underlying = underlying
    }

    /// The same fault of the input, named from further out: `value` becomes `changes/3/value`.
    func inside(_ path: String) -> StoreError {
        guard let field else { return self }
        return StoreError(code, message, field: "\(path)/\(field)", current: current, underlying: underlying)
    }

    package var description: String {
        "\(code.rawValue): \(message)\(underlying.map { " (\($0))" } ?? "")"
    }
}
