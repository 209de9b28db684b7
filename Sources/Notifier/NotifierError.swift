// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Wire

/// What Redis, or the way to it, refused. Away is a state that passes: callers go on and let the outbox or the next heartbeat repair it.
package struct NotifierError: Error, CustomStringConvertible {
    package enum Code: String, Sendable {
        case urlInvalid = "redis_url_invalid"
        case away = "redis_away"
        case accessDenied = "redis_access_denied"
        case refused = "redis_refused"
        case protocolViolated = "redis_protocol"
        case queueFull = "redis_queue_full"
    }

    package let code: Code
    /// For people: what happened and what to do about it. Never a password, and never the text of a server's answer.
    package let message: String
    /// For the log.
    package let underlying: (any Error)?

    package init(_ code: Code, _ message: String, underlying: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.underlying = underlying
    }

    package var description: String { "\(code.rawValue): \(message)" }
}

extension NotifierError {
    /// An error reply. Redis repeats arguments in some of its texts (`unknown command 'AUTH', with args beginning with …`), so only the
    /// reply's first word leaves this function.
    static func reply(_ text: String, to command: String) -> NotifierError {
        let word = String(text.prefix { $0.isASCII && ($0.isUppercase || $0.isNumber || $0 == "_") }.prefix(32))
        return switch word {
        case "NOAUTH", "WRONGPASS", "NOPERM":
            NotifierError(.accessDenied, "Redis answered \(word) to \(command): check user, password and ACL in the Redis URL")
        case "LOADING":
            NotifierError(.away, "Redis is loading its data set; it is tried again by itself")
        case "MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN":
            NotifierError(
                .away,
                "Redis answered \(word) to \(command): another node of the cluster has the key, or none yet; with a redis+cluster:// address it is "
                    + "found by itself"
            )
        case "READONLY":
            NotifierError(.refused, "Redis answered \(word) to \(command): it is a replica, give the master's address or its sentinels'")
        default:
            NotifierError(.refused, "Redis answered \(word.isEmpty ? "with an error" : word) to \(command)")
        }
    }

    static func fault(_ fault: RESPFault) -> NotifierError {
        NotifierError(.protocolViolated, "what answers there doesn't speak Redis' protocol: check the Redis URL", underlying: fault)
    }

    static func away(_ cause: NotifierError?) -> NotifierError {
        NotifierError(.away, "Redis is away\(cause.map { " (\($0.message))" } ?? ""); it is tried again by itself", underlying: cause)
    }
}
