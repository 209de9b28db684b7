// Keyvane
// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Hummingbird
import Logging

// What stands between a connection and a route, outermost first: RequestIdentityMiddleware, ObservationMiddleware, CrossOriginMiddleware
// (where origins are listed), ProblemMiddleware (in Problem/), then the router, which knows the routes as plain values (`APIRoute`). A
// request goes in, an answer comes out; errors end in ProblemMiddleware, so those outside of it see answers only. All of it is stateless but
// for the metrics' counters.
// Must hold: every answer carries the request's id, every request is counted once, under a label from a closed set.

/// The outermost step: gives the request the id it came with, or a new one, and sends it back.
/// The balancer passes the same id to every server, so one search finds a request in all logs.
struct RequestIdentityMiddleware: RouterMiddleware {
    func handle(
        _ request: Request,
        context: APIContext,
        next: (Request, APIContext) async throws -> Response
    ) async throws -> Response {
        var context = context
        let trace = TraceParent(request.headers)
        context.requestID = Self.identity(request.headers, trace)
        // Hummingbird's own number would only be a second id for the same thing.
        context.logger[metadataKey: "hb.request.id"] = nil
        context.logger[metadataKey: LogKey.requestID] = .string(context.requestID)
        if let trace { context.logger[metadataKey: LogKey.traceID] = .string(trace.traceID) }
        var response = try await next(request, context)
        response.headers[.requestID] = context.requestID
        return response
    }

    /// The caller's, else the trace's, else a new one of 128 random bits.
    private static func identity(_ headers: HTTPFields, _ trace: TraceParent?) -> String {
        if let given = headers[.requestID], isAcceptable(given) { return given }
        if let trace { return trace.traceID }
        let random = (UInt64.random(in: .min ... .max), UInt64.random(in: .min ... .max))
        return hex(random.0) + hex(random.1)
    }

    /// It is repeated in headers and logs: what could break a line or fill one is not taken.
    private static func isAcceptable(_ identity: String) -> Bool {
        (1...128).contains(identity.utf8.count)
            && identity.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"):
                    true
                case UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: ":"), UInt8(ascii: "/"), UInt8(ascii: "="),
                    UInt8(ascii: "+"), UInt8(ascii: "@"):
                    true
                default: false
                }
            }
    }

    private static func hex(_ word: UInt64) -> String {
        let digits = String(word, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
