// Keyvane
// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Hummingbird

// Everything that goes wrong in a request leaves as one `Problem`: handlers throw it, `StoreError` is turned into it by one table,
// and `ProblemMiddleware` writes it as application/problem+json (RFC 9457). What a caller reads is the code, the detail with the
// remedy, and pointers to every field at fault. What must not leave the process (SQL, addresses, secrets) stays in `underlying`,
// which only the log sees. A problem is a value; it is made where the fault is known and never changed on its way out.

/// The one error of this target.
struct Problem: Error, Sendable {
    /// For programs.
    let code: ProblemCode
    /// For people: what is wrong, and what to do about it.
    let detail: String
    var faults: [FieldFault] = []
    /// What the status's own definition asks for: `Allow`, `WWW-Authenticate`, `Retry-After`, `ETag`.
    var headers: HTTPFields = [:]
    /// The state that a failed precondition was compared with, already cut to what the caller may see.
    var current: (@Sendable (inout JSONWriter) -> Void)?
    /// For the log alone.
    var underlying: (any Error)?

    init(_ code: ProblemCode, _ detail: String) {
        self.code = code
        self.detail = detail
    }

    func with(_ change: (inout Problem) -> Void) -> Problem {
        var copy = self
        change(&copy)
        return copy
    }

    /// "about:blank" says that the title is the status's own phrase (RFC 9457, section 4.2.1); programs look at `code`.
    func response() -> Response {
        var writer = JSONWriter()
        writer.object { object in
            object.member("type", "about:blank")
            object.member("title", code.status.reasonPhrase)
            object.member("status", code.status.code)
            object.member("detail", detail)
            object.member("code", code.rawValue)
            if !faults.isEmpty {
                object.member("errors", array: faults) { list, fault in
                    list.object { $0.write(fault) }
                }
            }
            if let current { object.member("current", current) }
        }
        var headers = headers
        headers[.contentType] = "application/problem+json"
        // A refusal holds for this moment and this token; nobody may answer it again from memory.
        headers[.cacheControl] = "no-store"
        return Response(status: code.status, headers: headers, body: .init(byteBuffer: writer.buffer))
    }
}

/// One field at fault: a JSON pointer into the body (RFC 6901), or `?name` for a parameter.
struct FieldFault: Equatable, Sendable {
    let pointer: String
    let detail: String

    init(_ pointer: String, _ detail: String) {
        self.pointer = pointer
        self.detail = detail
    }
}

extension FieldFault {
    /// A line of a document has no pointer, only its number.
    fileprivate var subject: String {
        if pointer.isEmpty { return "The body" }
        return pointer.hasPrefix("/") ? "The field \(pointer)" : pointer.prefix(1).uppercased() + pointer.dropFirst()
    }
}

extension JSONWriter {
    fileprivate mutating func write(_ fault: FieldFault) {
        member("pointer", fault.pointer)
        member("detail", fault.detail)
    }
}

// MARK: - The ones that many places need

extension Problem {
    /// The same words whether a thing doesn't exist or the caller may not know of it.
    static let notFound = Problem(.notFound, "There is nothing here that this token may see. Check the path and the token's grants.")

    /// Only where the caller may know of the thing; otherwise it is `notFound`.
    static func notGranted(_ permission: String) -> Problem {
        Problem(.notGranted, "This needs the permission `\(permission)` here, which this token doesn't have. Use a token that has it.")
    }

    static func invalidParameter(_ name: String, _ detail: String) -> Problem {
        Problem(.invalidParameter, "The parameter `\(name)` \(detail).").with { $0.faults = [FieldFault("?\(name)", detail)] }
    }

    static func invalidBody(_ faults: [FieldFault]) -> Problem {
        let detail =
            switch faults.count {
            case 1: "\(faults[0].subject) \(faults[0].detail)."
            default: "\(faults.count) fields are not acceptable."
            }
        // A body can hold as many faults as it has bytes; the first hundred say enough.
        return Problem(.invalidBody, detail + " Nothing was changed.").with { $0.faults = Array(faults.prefix(100)) }
    }

    /// A second is about what a reconnect takes; clients that come back later lose nothing.
    static func unavailable(_ detail: String) -> Problem {
        Problem(.unavailable, detail).with { $0.headers[.retryAfter] = "1" }
    }

    /// The only words a caller gets of what we didn't foresee.
    static let unexpected = Problem(
        .internalError,
        "Something unexpected went wrong here; it is in this server's log under the X-Request-Id of this answer."
    )
}
