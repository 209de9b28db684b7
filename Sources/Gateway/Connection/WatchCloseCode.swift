// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Wire

/// The close codes of this protocol beside RFC 6455's: 4400 and above tell a client not to come back as it is.
extension WebSocketCloseCode {
    package static let badMessage = Self(rawValue: 4400)
    package static let notAuthenticated = Self(rawValue: 4401)
    package static let notGranted = Self(rawValue: 4403)
    package static let noEnvironment = Self(rawValue: 4404)
    package static let noAuthentication = Self(rawValue: 4408)
    package static let tooFast = Self(rawValue: 4429)
}

/// The one table from refusals to what a client sees: the code of an `error`, the close code where nothing else is watched, the HTTP status.
extension AttachRefusal {
    var closeCode: WebSocketCloseCode {
        switch self {
        case .notFound: .noEnvironment
        case .forbidden: .notGranted
        case .unavailable: .tryAgainLater
        }
    }

    var status: Int {
        switch self {
        case .notFound: 404
        case .forbidden: 403
        case .unavailable: 503
        }
    }

    package func message(_ environment: String) -> String {
        switch self {
        case .notFound: "There is no environment \(environment) that this token may know of."
        case .forbidden: "The token may not read \(environment): it needs a grant with 'read'."
        case .unavailable: "\(environment) cannot be read right now. Try again in a moment."
        }
    }
}

/// Why all watches of a token end.
package enum TokenEnd: String, Sendable {
    case revoked
    case expired
}
