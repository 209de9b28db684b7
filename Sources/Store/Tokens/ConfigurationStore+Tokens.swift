// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Who may do what.
// Flows through: a token's text to its record, a record to its access to one environment.
// Owner: the database has the records and hashes; the text exists once, in the answer to its creation.
// Must hold: a wrong, expired or revoked token is nil, without saying which; comparing takes the same time wherever texts differ.

package import Foundation

extension ConfigurationStore {
    private static let columns = """
        t.id, t.description, t.grants, t.is_root, (extract(epoch FROM t.expires_at) * 1000)::bigint,
        (extract(epoch FROM t.created_at) * 1000)::bigint, t.created_by, (extract(epoch FROM t.last_used_at) * 1000)::bigint
        """

    private static func record(_ row: PostgresResult.Row) -> TokenRecord {
        TokenRecord(
            id: row.text(0),
            description: row.text(1),
            // Grants that can't be read grant nothing.
            grants: (try? JSONDecoder().decode([Grant].self, from: Data(row.text(2).utf8))) ?? [],
            expiresAt: row.date(4),
            createdAt: row.timestamp(5).date,
            createdBy: row.text(6),
            lastUsedAt: row.date(7),
            isRoot: row.flag(3)
        )
    }

    private static let insertion = PostgresStatement(
        "token_create",
        """
        WITH made AS (
            INSERT INTO keyvane.token AS t (id, hash, description, grants, is_root, expires_at, created_at, created_by)
            VALUES ($1, $2, $3, $4::jsonb, $5::boolean, to_timestamp($6::bigint / 1000.0), date_trunc('milliseconds', now()), $7)
            ON CONFLICT (id) DO NOTHING RETURNING *
        ), audited AS (
            INSERT INTO keyvane.audit (id, at, actor, action, target, request_id)
            SELECT $8::uuid, created_at, $7, 'token.create', id, $9 FROM made
        )
        SELECT \(columns) FROM made t UNION ALL SELECT \(columns) FROM keyvane.token t WHERE t.id = $1 AND t.hash = $2
        """
    )

    /// Makes a token; its text is in this answer and nowhere else.
    package func createToken(
        description: String,
        grants: [Grant],
        expiresAt: Date?,
        isRoot: Bool = false,
        createdBy: String,
        requestID: String? = nil
    ) async throws(StoreError) -> (record: TokenRecord, text: String) {
        try InputRules.remark(description, field: "description")
        for (index, grant) in grants.enumerated() {
            do throws(StoreError) { try grant.validate() } catch { throw error.inside("grants/\(index)") }
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        guard let json = try? encoder.encode(grants) else { throw StoreError(.internalError, "grants could not be encoded") }
        let (id, text) = TokenText.generate()
        let result = try await write(
            Self.insertion.call { parameters in
                parameters.add(id)
                parameters.add(Self.hexadecimal(TokenText.hash(text)))
                parameters.add(description)
                parameters.add(String(decoding: json, as: UTF8.self))
                parameters.add(isRoot)
                parameters.add(expiresAt.map { Timestamp($0) })
                parameters.add(createdBy)
                parameters.add(UUID())
                parameters.add(requestID)
            }
        )
        guard let row = result.first else { throw .unavailable("the token's random id is taken") }
        return (Self.record(row), text)
    }

    private static func hexadecimal(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    private static let byID = PostgresStatement(
        "token",
        "SELECT \(columns), t.hash, t.last_used_at IS NULL OR t.last_used_at < now() - interval '1 minute' "
            + "FROM keyvane.token t WHERE t.id = $1 AND t.revoked_at IS NULL"
    )

    private static let used = PostgresStatement(
        "token_used",
        """
        UPDATE keyvane.token SET last_used_at = date_trunc('milliseconds', now())
        WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')
        """
    )

    /// Nil for a token that is unknown, wrong, revoked or expired.
    package func authenticate(_ text: String) async throws(StoreError) -> TokenRecord? {
        let hash = TokenText.hash(text)
        if let root = configuration.rootTokenHash, TokenText.matches(hash, root) { return .configuredRoot }
        guard let id = TokenText.id(of: text), let row = try await read(Self.byID.call { $0.add(id) }).first else { return nil }
        let record = Self.record(row)
        let matches = TokenText.matches(Array(row.text(8).utf8), Array(Self.hexadecimal(hash).utf8))
        guard matches, !record.isExpired(at: Date()) else { return nil }
        // At most once a minute, and nobody waits for it.
        if row.flag(9) { writeSomeTime(Self.used.call { $0.add(id) }) }
        return record
    }

    /// Nil where there is none, or it has been revoked.
    package func token(_ id: String) async throws(StoreError) -> TokenRecord? {
        try await read(Self.byID.call { $0.add(id) }).first.map(Self.record)
    }

    private static let page = PostgresStatement(
        "tokens",
        "SELECT \(columns) FROM keyvane.token t WHERE t.id > $1 AND t.revoked_at IS NULL ORDER BY t.id LIMIT $2::bigint"
    )

    /// By id.
    package func tokens(_ page: PageRequest) async throws(StoreError) -> Page<TokenRecord> {
        let result = try await read(
            Self.page.call { parameters in
                parameters.add(page.after ?? "")
                parameters.add(Int64(page.limit + 1))
            }
        )
        return Page(result.rows.map(Self.record), of: page, cursor: \.id)
    }

    private static let revocation = PostgresStatement(
        "token_revoke",
        """
        WITH revoked AS (
            UPDATE keyvane.token SET revoked_at = now() WHERE id = $1 AND revoked_at IS NULL RETURNING id
        ), audited AS (
            INSERT INTO keyvane.audit (id, at, actor, action, target, request_id)
            SELECT $3::uuid, date_trunc('milliseconds', now()), $2, 'token.revoke', id, $4 FROM revoked
        )
        SELECT id FROM keyvane.token WHERE id = $1 AND (revoked_at IS NULL OR revoked_at > now() - interval '1 minute')
        """
    )

    /// False where there is no such token. Sent again after a lost connection it finds its own work and is still true.
    @discardableResult
    package func revokeToken(_ id: String, by actor: String, requestID: String? = nil) async throws(StoreError) -> Bool {
        let result = try await write(
            Self.revocation.call { parameters in
                parameters.add(id)
                parameters.add(actor)
                parameters.add(UUID())
                parameters.add(requestID)
            }
        )
        return result.first != nil
    }
}
