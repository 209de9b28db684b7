// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// A mutation in the form PostgreSQL gets it: secrets sealed, kinds decided.
struct MutationCall: Sendable {
    struct Member: Sendable {
        enum Operation: String, Sendable {
            case set
            /// The kind may be another one.
            case restore
            case delete
            /// Nothing changes, as far as the entry is still of the version this was worked out for.
            case keep
        }

        let name: String
        let op: Operation
        /// Nil: whatever kind the entry has (deletes only).
        let kind: EntryKind?
        /// What is stored after it, if anything.
        var text: String?
        /// Bytes of name and plaintext.
        var size = 0
        var note: String?
        var enabled: Bool?
        /// The version this was worked out for; nil where it doesn't depend on one.
        var expectedVersion: Int64?
    }

    static let statement = PostgresStatement(
        "mutate",
        """
        SELECT * FROM keyvane.mutate($1::uuid, $23::boolean, $2::uuid, $3, $4, $5, $6, $7, $8::bigint[], $9::bigint, $10::text[], $11::text[],
            $12::text[], $13::text[], $14::integer[], $15::text[], $16::boolean[], $17::bigint[], $18::integer, $19::bigint, $20, $21, $22)
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
        parameters.add(mutation.action.rawValue)
        parameters.add(mutation.changes.count == 1 ? mutation.changes[0].name : "\(mutation.changes.count) entries")
        parameters.add(mutation.requestID)
        parameters.add(condition)
        parameters.add(expected.lazy.map { Optional($0) })
        parameters.add(mutation.basedOn)
        parameters.add(members.lazy.map { Optional($0.name) })
        parameters.add(members.lazy.map { $0.kind?.rawValue })
        parameters.add(members.lazy.map { Optional($0.op.rawValue) })
        parameters.add(members.lazy.map(\.text))
        parameters.add(members.lazy.map { Optional(Int64($0.size)) })
        parameters.add(members.lazy.map(\.note))
        parameters.add(members.lazy.map { $0.enabled.map { $0 ? "t" : "f" } })
        parameters.add(members.lazy.map(\.expectedVersion))
        parameters.add(Int64(InputRules.maximumEntries))
        parameters.add(Int64(InputRules.maximumEnvironmentBytes))
        parameters.add(mutation.idempotencyKey?.token)
        parameters.add(mutation.idempotencyKey?.key)
        parameters.add(mutation.idempotencyKey?.fingerprint)
        return parameters
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
