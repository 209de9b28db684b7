// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Answers that can be given again: whatever changes something besides entries leaves, in its own transaction, a receipt with its answer.
// Flows through: a statement with its work into `once`, the answered record's columns out, whether they are of now or of the first time.
// Owner: PostgreSQL has the receipts; a caller's name for a request is good for a day, then the row may go.
// Must hold: work and receipt are one statement, so there is never one without the other; a refusal leaves none.

/// A mutation, and the record that it answers with.
///
/// Every column travels as text, so that the same decoder reads it from the statement and from the receipt.
struct ReceiptStatement: Sendable {
    let statement: PostgresStatement
    /// Reads the columns back, then the fingerprint, and whether the receipt is too old to count.
    let replay: PostgresStatement
    /// The column behind the record's: `ok`, or why nothing was done. The replay has the fingerprint there.
    let statusColumn: Int32
    let parameterCount: Int

    /// - Parameters:
    ///   - parameters: how many the work has; three more follow for the receipt.
    ///   - work: the common table expressions that change something.
    ///   - source: gives one row, or none where there is nothing to work on; `columns` and `status` are expressions over it.
    init(_ name: String, parameters: Int, work: String = "", columns: [String], status: String = "'ok'", from source: String) {
        let names = columns.indices.map { "c\($0)" }.joined(separator: ", ")
        let answer = columns.enumerated().map { "(\($1))::text AS c\($0)" }.joined(separator: ", ")
        statement = PostgresStatement(
            name,
            """
            WITH \(work.isEmpty ? "" : work + ", ")answer AS MATERIALIZED (
                SELECT \(answer), \(status) AS status FROM \(source)
            ), receipt AS (
                INSERT INTO keyvane.receipt (token, key, fingerprint, created_at, record)
                SELECT $\(parameters + 1), $\(parameters + 2), $\(parameters + 3), now(), ARRAY[\(names)] FROM answer WHERE status = 'ok'
            )
            SELECT \(names), status FROM answer
            """
        )
        let elements = columns.indices.map { "r.record[\($0 + 1)]" }.joined(separator: ", ")
        replay = PostgresStatement(
            "receipt_of_\(columns.count)",
            """
            SELECT \(elements), r.fingerprint, r.created_at <= now() - interval '24 hours' FROM keyvane.receipt r
            WHERE r.token = $1 AND r.key = $2
            """
        )
        statusColumn = Int32(columns.count)
        parameterCount = parameters
    }
}
