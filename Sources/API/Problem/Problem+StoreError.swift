// Keyvane
// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Store

extension Problem {
    /// What the store refuses, as an answer.
    /// - Parameter conflict: what a conflict is in the route that asked.
    init(_ error: StoreError, conflict: ProblemCode = .conflict) {
        switch error.code {
        case .notFound:
            self = .notFound
        case .conflict:
            self.init(conflict, Self.sentence(error.message))
        case .idempotencyKeyReused:
            self.init(.idempotencyKeyReused, Self.sentence(error.message))
        case .revisionTooOld:
            self.init(.sinceTooOld, Self.sentence(error.message))
        case .preconditionFailed:
            self.init(
                .preconditionFailed,
                "It has changed since. Read it again and decide anew; the ETag of this answer is the current one."
            )
            if let current = error.current { headers[.eTag] = EntityTagList.tag(current) }
        // No body has such a field; it came with the query.
        case .invalid where error.field == "cursor":
            self = .invalidParameter("cursor", "is not one that a list has answered with")
        case .invalid:
            // The field's own name stands beside the detail already.
            let name = error.field?.split(separator: "/").last.map { "\($0) " } ?? ""
            self = .invalidBody([FieldFault(error.field.map { "/\($0)" } ?? "", String(error.message.trimmingPrefix(name)))])
        case .environmentTooLarge:
            self.init(.environmentTooLarge, Self.sentence(error.message))
        // At a first start the schema is still being made by one of the instances; until then nothing can be served.
        case .unavailable, .schemaMissing, .moved:
            self = .unavailable("The database can't be reached at the moment. Try again; a change can safely be sent again as it was.")
            underlying = error
        // Keys are being rotated, and this process was left out: another one can do it. The log has the remedy.
        case .masterKeyMissing, .masterKeyWrong:
            self = .unavailable("This server can't open the project's secrets at the moment. Try again.")
            underlying = error
        // Nothing that a caller could have caused or could mend: the log has it, the answer doesn't.
        case .configurationInvalid, .schemaTooNew, .sealedValueUnreadable,
            .internalError:
            self = .unexpected
            underlying = error
        }
    }

    /// The store's messages are clauses, to be put after a colon in a log.
    private static func sentence(_ message: String) -> String {
        message.prefix(1).uppercased() + message.dropFirst() + (message.hasSuffix(".") ? "" : ".")
    }
}
