// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation

extension ConfigurationStore {
    /// The record that a mutation answered with.
    struct Receipt {
        let row: PostgresResult.Row
        /// Of an earlier call: this one has done nothing.
        let isRepeated: Bool
    }

    private static let expired = PostgresStatement(
        "receipt_expired",
        "DELETE FROM keyvane.receipt WHERE token = $1 AND key = $2 AND created_at <= now() - interval '24 hours'"
    )

    /// Does the work, once for each key. Without a key of the caller's it gets one of its own, under which this very call finds its outcome
    /// when the connection is lost between commit and answer.
    /// - Parameters:
    ///   - isSlow: it may take up to the limit of bulk work.
    ///   - refusal: what a status other than `ok` means; nil where the statement had nothing to work on.
    /// - Throws: the refusal, `idempotency_key_reused`, `unavailable`.
    func once(
        _ key: IdempotencyKey?,
        _ statement: ReceiptStatement,
        isSlow: Bool = false,
        refusal: (String?) -> StoreError,
        _ fill: (inout PostgresParameters) -> Void
    ) async throws(StoreError) -> Receipt {
        // No token has an empty id.
        let name = key ?? IdempotencyKey(token: "", key: UUID().lowercased, request: [], body: [])
        if key != nil, let receipt = try await receipt(name, statement) { return receipt }
        let call = statement.statement.call { parameters in
            fill(&parameters)
            precondition(parameters.count == statement.parameterCount, "\(statement.statement.name) has another number of parameters")
            parameters.add(name.token)
            parameters.add(name.key)
            parameters.add(name.fingerprint)
        }
        switch await attempt(call, isSlow: isSlow) {
        case .success(let result):
            let row = result.first
            let status = row?.text(statement.statusColumn)
            if let row, status == "ok" { return Receipt(row: row, isRepeated: false) }
            // Refused because it has been done: by another call of this name a moment ago, or by this one, whose first answer got lost.
            if let receipt = try await receipt(name, statement) { return receipt }
            throw refusal(status)
        case .failure(.refused(let failure, _)) where failure.isUniqueViolation:
            if let receipt = try await receipt(name, statement) { return receipt }
            throw failure.storeError
        case .failure(.refused(let failure, _)) where failure.isForeignKeyViolation:
            // What it was to be made in has been deleted meanwhile.
            throw refusal(nil)
        case .failure(let failure):
            throw failure.storeError
        }
    }

    /// - Throws: `idempotency_key_reused`.
    private func receipt(_ key: IdempotencyKey, _ statement: ReceiptStatement) async throws(StoreError) -> Receipt? {
        let result = try await read(
            statement.replay.call { parameters in
                parameters.add(key.token)
                parameters.add(key.key)
            }
        )
        guard let row = result.first else { return nil }
        if row.flag(statement.statusColumn + 1) {
            _ = try await write(
                Self.expired.call { parameters in
                    parameters.add(key.token)
                    parameters.add(key.key)
                }
            )
            return nil
        }
        guard row.text(statement.statusColumn) == key.fingerprint else {
            throw StoreError.idempotencyKeyReused
        }
        return Receipt(row: row, isRepeated: true)
    }

    private static let asked = ReceiptStatement(
        "receipt_of_asking",
        parameters: 1,
        columns: ["a.answer"],
        from: "(SELECT $1::text AS answer) a"
    )

    /// For what isn't done by PostgreSQL: the answer of the first call under this key, which is kept with this call unless there is one.
    package func remembered(_ key: IdempotencyKey, answer: String) async throws(StoreError) -> String {
        try await once(key, Self.asked, refusal: { _ in StoreError(.internalError, "an answer could not be kept") }) { $0.add(answer) }
            .row.text(0)
    }

    /// The answer that `remembered` has kept.
    package func remembered(_ key: IdempotencyKey) async throws(StoreError) -> String? {
        try await receipt(key, Self.asked)?.row.text(0)
    }
}
