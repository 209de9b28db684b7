// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// What a close code means to the consumer of a watch.
enum WatchCloseCode {
    /// The code of the error for a message beyond the receive limit.
    static let tooLarge = "message_too_large"

    static func error(of code: Int?, reason: String) -> ClientError {
        let (name, message) = meaning(of: code)
        return ClientError(code: name, message: reason.isEmpty ? message : reason, closeCode: code)
    }

    private static func meaning(of code: Int?) -> (String, String) {
        switch code {
        case .none: ("connection_lost", "The connection to the gateway was lost.")
        case 1_000, 1_001: ("connection_closed", "The gateway closed the connection.")
        case 1_012: ("draining", "The gateway is being restarted.")
        case 1_013: ("overloaded", "The gateway has too much to do, or this client took nothing for too long.")
        case 4_400: ("bad_message", "The gateway doesn't understand this client. Check that their versions fit.")
        case 4_401: ("unauthenticated", "The token is not valid: it was revoked or has expired. Get a new one.")
        case 4_403: ("forbidden", "The token doesn't grant this. Ask for a grant that covers the environment.")
        case 4_404: ("environment_not_found", "There is no such environment. Check its spelling, or whether it was deleted.")
        case 4_408: ("authentication_timeout", "The gateway got no token in time.")
        case 4_429: ("too_fast", "The gateway found this client too fast.")
        case .some(let number): ("closed_\(number)", "The gateway closed the connection with code \(number).")
        }
    }
}
