// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// A mutation in the form PostgreSQL gets it: secrets sealed, kinds decided.
struct MutationCall: Sendable {
    struct Member: Sendable {
        enum Operation: String, Sendable {
            case set
            case delete
            /// A secret whose plaintext is the same as before; ciphertexts can't be compared.
            case keep
        }

        let name: String
        let op: Operation
        /// Nil: whatever kind the entry has (deletes only).
        let kind: EntryKind?
        /// What is stored after it, if anything.
        let text: String?
        /// Bytes of name and plaintext.
        let size: Int
        let note: String?
        /// The version this was worked out for; nil where it doesn't depend on one.
        let expectedVersion: Int64?
    }

    static let statement = PostgresStatement(
        "mutate",
        """
        SELECT * FROM keyvane.mutate($1::uuid, $18::boolean, $2::uuid, $3, $4, $5, $6, $7, $8::bigint[], $9::text[], $10::text[], $11::text[],
            $12::text[], $13::integer[], $14::text[], $15::bigint[], $16::integer, $17::bigint)
        """
    )

    let mutation: Mutation
    let members: [Member]

    /// All but the last parameter, which is whether it has been sent before.
    var parameters: PostgresParameters {
        var parameters = PostgresParameters()
        parameters.add(mutation.id)
        parameters.add(mutation.environmentID)
        parameters.add(mutation.actor)
        parameters.add(action)
        parameters.add(target)
        parameters.add(mutation.requestID)
        parameters.add(condition)
        parameters.add(expected.lazy.map { Optional($0) })
        parameters.add(members.lazy.map { Optional($0.name) })
        parameters.add(members.lazy.map { $0.kind?.rawValue })
        parameters.add(members.lazy.map { Optional($0.op.rawValue) })
        parameters.add(members.lazy.map { $0.op == .set ? $0.text : nil })
        parameters.add(members.lazy.map { Optional(Int64($0.size)) })
        parameters.add(members.lazy.map { $0.note })
        parameters.add(members.lazy.map { $0.expectedVersion })
        parameters.add(Int64(InputRules.maximumEntries))
        parameters.add(Int64(InputRules.maximumEnvironmentBytes))
        return parameters
    }

    private var action: String {
        guard members.count == 1 else { return "configuration.patch" }
        return members[0].op == .delete ? "entry.delete" : "entry.set"
    }

    private var target: String {
        members.count == 1 ? members[0].name : "\(members.count) entries"
    }

    private var condition: String {
        switch mutation.precondition {
        case .none: "none"
        case .versionIn: "version_in"
        case .exists: "exists"
        case .absent: "absent"
        case .revisionIn: "revision_in"
        }
    }

    private var expected: [Int64] {
        switch mutation.precondition {
        case .versionIn(let numbers), .revisionIn(let numbers): numbers
        case .none, .exists, .absent: []
        }
    }
}
