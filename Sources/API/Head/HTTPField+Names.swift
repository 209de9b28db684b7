// Keyvane
// SPDX-License-Identifier: Apache-2.0

import HTTPTypes

extension HTTPField.Name {
    static let requestID = known("X-Request-Id")
    static let forwardedFor = known("X-Forwarded-For")
    static let traceParent = known("traceparent")
    static let keyshadeToken = known("x-keyshade-token")
    static let idempotencyKey = known("Idempotency-Key")
    /// The revision that the environment has after a mutation.
    static let keyvaneRevision = known("Keyvane-Revision")
    /// Why `/readyz` says no.
    static let keyvaneState = known("Keyvane-State")
    static let referrerPolicy = known("Referrer-Policy")
    static let crossOriginOpenerPolicy = known("Cross-Origin-Opener-Policy")
    static let crossOriginResourcePolicy = known("Cross-Origin-Resource-Policy")

    private static func known(_ name: String) -> HTTPField.Name {
        guard let field = HTTPField.Name(name) else { preconditionFailure("\(name) is not a field name") }
        return field
    }
}
