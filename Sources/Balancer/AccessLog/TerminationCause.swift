// Keyvane
// SPDX-License-Identifier: Apache-2.0

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

/// HAProxy's four letters: who ended it, how far it was, what the request's cookie was worth, what became of the cookie in the answer.
enum TerminationState {
    static func text(_ request: LoggedRequest) -> String {
        ending(request) + pin(request) + cookie(request)
    }

    private static func ending(_ request: LoggedRequest) -> String {
        switch request.reason.flatMap(Refusal.init(rawValue:)) {
        case .noServer, .serverDown, .serverUnreachable, .serverTLSFailed: return "SC"
        case .serverFailed: return "SH"
        case .badResponse: return "PH"
        case .responseTimeout: return "sH"
        case .queueTimeout: return "sQ"
        case .queueFull: return "PQ"
        case .requestTimeout: return request.isRefusedHead ? "cR" : "cD"
        case .expectationFailed, .notFound, .methodNotAllowed, .noRoute, .upgradeRate, .rateLimited, .draining: return "PR"
        case nil: break
        }
        return switch request.cause {
        // HAProxy's own word for its redirects: processed locally, at the request.
        case .done: request.wasAnsweredHere ? "LR" : "--"
        case .refused: "PR"
        case .clientGone: "C" + phase(request)
        case .clientTimeout: "c" + phase(request)
        case .serverFailed: "S" + phase(request)
        case .serverTimeout: "s" + phase(request)
        }
    }

    private static func phase(_ request: LoggedRequest) -> String {
        if request.answeredAt != nil { return "D" }
        if request.connectedAt != nil { return "H" }
        if request.chosenAt != nil { return "C" }
        return request.pool == nil ? "R" : "Q"
    }

    private static func pin(_ request: LoggedRequest) -> String {
        switch request.pin {
        case .none: "-"
        case .absent: "N"
        case .valid: "V"
        case .refused(.down), .refused(.draining): "D"
        case .refused(.expired): "E"
        case .refused(.forged), .refused(.unknown): "I"
        }
    }

    private static func cookie(_ request: LoggedRequest) -> String {
        guard request.pin != .none, request.answeredAt != nil else { return "-" }
        return switch request.cookie {
        case .untouched: "N"
        case .inserted: "I"
        case .renewed: "U"
        }
    }
}
