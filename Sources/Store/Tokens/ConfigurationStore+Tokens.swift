// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Who may do what.
// Flows through: a token's text to its record, a record to its access to one environment; what becomes of it into a log that gateways follow.
// Owner: the database has the records and hashes; the text exists once, in the answer to its creation.
// Must hold: a wrong, expired or revoked token is nil, without saying which; comparing takes the same time wherever texts differ.

package import Foundation

extension ConfigurationStore {
    /// Those of a receipt's record.
    private static let columns = [
        "t.id", "t.description", "t.grants", "left(t.is_root::text, 1)", "(extract(epoch FROM t.expires_at) * 1000)::bigint",
        "(extract(epoch FROM t.created_at) * 1000)::bigint", "t.created_by", "(extract(epoch FROM t.last_used_at) * 1000)::bigint",
        "t.version",
    ]
    /// What `record` reads.
    static let tokenColumns = (columns + ["t.event"]).joined(separator: ", ")
    private static let eventColumn = Int32(columns.count)
    static let tokenColumnCount = eventColumn + 1

    static func record(_ row: PostgresResult.Row, hasEvent: Bool = true) -> TokenRecord {
        TokenRecord(
            id: row.text(0),
            description: row.text(1),
            // Grants that can't be read grant nothing.
            grants: (try? JSONDecoder().decode([Grant].self, from: Data(row.text(2).utf8))) ?? [],
            expiresAt: row.date(4),
            createdAt: row.timestamp(5).date,
            createdBy: row.text(6),
            lastUsedAt: row.date(7),
            isRoot: row.flag(3),
            version: row.integer(8),
            // Receipts of an older version have none.
            event: hasEvent ? row.optionalInteger(eventColumn) ?? 0 : 0
        )
    }

    /// One audit row for each workspace that the grants before or after reach, so that each workspace's audit tells of it.
    private static func audited(_ action: String, _ table: String, grants: String, actor: String, request: String) -> String {
        """
        audited AS (
            INSERT INTO keyvane.audit (id, at, actor, action, place, target, request_id)
            SELECT gen_random_uuid(), date_trunc('milliseconds', clock_timestamp()), \(actor), 'token.\(action)', g.place, x.id, \(request)
            FROM \(table) x CROSS JOIN LATERAL (
                SELECT g.value ->> 'workspace' AS place FROM jsonb_array_elements(\(grants)) g
                UNION SELECT '*' WHERE jsonb_array_length(\(grants)) = 0
            ) g
        )
        """
    }

    private static let insertion = ReceiptStatement(
        "token_create",
        parameters: 9,
        work: """
            made AS (
                INSERT INTO keyvane.token (id, hash, description, grants, is_root, expires_at, created_at, created_by)
                VALUES ($1, $2, $3, $4::jsonb, $5::boolean, to_timestamp($6::bigint / 1000.0), date_trunc('milliseconds', now()), $7)
                ON CONFLICT (id) DO NOTHING RETURNING *
            ), \(audited("create", "made", grants: "x.grants", actor: "$7", request: "$8"))
            """,
        columns: columns + ["$9"],
        from: "made t"
    )

    /// Makes a token; its text is in this answer and nowhere else, but for a day in a receipt, sealed, where the caller named a key.
    package func createToken(
        description: String,
        grants: [Grant],
        expiresAt: Date?,
        isRoot: Bool = false,
        createdBy: String,
        requestID: String? = nil,
        key: IdempotencyKey? = nil
    ) async throws(StoreError) -> (record: TokenRecord, text: String) {
        try InputRules.remark(description, field: "description")
        let json = try Self.json(grants)
        let (id, text) = TokenText.generate()
        let sealed = try key.map { key throws(StoreError) in try ReceiptSeal(keyRing, key).seal(text) }
        let taken = StoreError.unavailable("the token's random id is taken")
        let receipt = try await once(key, Self.insertion, refusal: { _ in taken }) { parameters in
            parameters.add(id)
            parameters.add(Self.hexadecimal(TokenText.hash(text)))
            parameters.add(description)
            parameters.add(json)
            parameters.add(isRoot)
            parameters.add(expiresAt.map { Timestamp($0) })
            parameters.add(createdBy)
            parameters.add(requestID)
            parameters.add(sealed)
        }
        let record = Self.record(receipt.row, hasEvent: false)
        guard receipt.isRepeated, let key else { return (record, text) }
        return (record, try ReceiptSeal(keyRing, key).open(receipt.row.text(Self.eventColumn)))
    }

    /// - Throws: `invalid` for grants that can't be.
    private static func json(_ grants: [Grant]) throws(StoreError) -> String {
        for (index, grant) in grants.enumerated() {
            do throws(StoreError) { try grant.validate() } catch { throw error.inside("grants/\(index)") }
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        guard let json = try? encoder.encode(grants) else { throw StoreError(.internalError, "grants could not be encoded") }
        return String(decoding: json, as: UTF8.self)
    }

    private static let update = ReceiptStatement(
        "token_change",
        parameters: 9,
        work: """
            old AS (
                SELECT * FROM keyvane.token WHERE id = $1 AND revoked_at IS NULL FOR NO KEY UPDATE
            ), changed AS (
                UPDATE keyvane.token t SET description = n.description, grants = n.grants, expires_at = n.expires_at, version = t.version + 1
                FROM old CROSS JOIN LATERAL (
                    SELECT coalesce($2, old.description) AS description, coalesce($3::jsonb, old.grants) AS grants,
                        CASE WHEN $4::boolean THEN to_timestamp($5::bigint / 1000.0) ELSE old.expires_at END AS expires_at
                ) n
                WHERE t.id = old.id AND old.version = $6::bigint AND ($7::text[] IS NULL OR old.version::text = ANY ($7::text[]))
                    AND (n.description, n.grants, n.expires_at) IS DISTINCT FROM (t.description, t.grants, t.expires_at)
                RETURNING t.*, old.grants AS old_grants
            ), \(audited("update", "changed", grants: "x.old_grants || x.grants", actor: "$8", request: "$9")), present AS (
                SELECT id, description, grants, is_root, expires_at, created_at, created_by, last_used_at, version, event FROM changed
                UNION ALL SELECT id, description, grants, is_root, expires_at, created_at, created_by, last_used_at, version, event FROM old
                WHERE NOT EXISTS (SELECT FROM changed)
            )
            """,
        columns: columns + ["t.event"],
        status: """
            (SELECT CASE WHEN NOT ($7::text[] IS NULL OR old.version::text = ANY ($7::text[])) THEN 'precondition_failed'
                WHEN old.version <> $6::bigint THEN 'moved' ELSE 'ok' END FROM old)
            """,
        from: "present t"
    )

    /// Changes a token as it was when the caller decided that he may.
    /// - Returns: nil where it has changed since: look at it again.
    /// - Throws: `invalid`, `not_found`, `precondition_failed`.
    package func changeToken(_ token: TokenRecord, _ change: TokenChange, _ origin: MutationOrigin) async throws(StoreError) -> TokenRecord?
    {
        if let description = change.description { try InputRules.remark(description, field: "description") }
        let json = try change.grants.map { grants throws(StoreError) in try Self.json(grants) }
        do throws(StoreError) {
            let receipt = try await once(origin.key, Self.update, refusal: Self.refusal) { parameters in
                parameters.add(token.id)
                parameters.add(change.description)
                parameters.add(json)
                parameters.add(change.expiry != .keep)
                parameters.add(change.expiry.moment.map { Timestamp($0) })
                parameters.add(token.version)
                parameters.add(list: origin.condition)
                parameters.add(origin.actor)
                parameters.add(origin.requestID)
            }
            return Self.record(receipt.row)
        } catch  where error.code == .conflict {
            return nil
        }
    }

    private static func refusal(_ status: String?) -> StoreError {
        switch status {
        case "precondition_failed": StoreError(.preconditionFailed, "somebody else has changed it: read it again")
        case "moved": StoreError(.conflict, "the token has been changed meanwhile")
        default: StoreError(.notFound, "there is no such token")
        }
    }

    private static func hexadecimal(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    private static let byID = PostgresStatement(
        "token",
        "SELECT \(tokenColumns), t.hash, t.last_used_at IS NULL OR t.last_used_at < now() - interval '1 minute' "
            + "FROM keyvane.token t WHERE t.id = $1 AND t.revoked_at IS NULL"
    )

    private static let used = PostgresStatement(
        "token_used",
        """
        UPDATE keyvane.token SET last_used_at = date_trunc('milliseconds', now())
        WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')
        """
    )

    /// Nil for a token that is unknown, wrong, revoked or expired, and for a connect token whose parent is.
    package func authenticate(_ text: String) async throws(StoreError) -> TokenRecord? {
        guard text.utf8.count <= ConnectTokenKeys.longest else { return nil }
        let hash = TokenText.hash(text)
        if let root = configuration.rootTokenHash, TokenText.matches(hash, root) { return .configuredRoot }
        guard let id = TokenText.id(of: text) else { return try await authenticate(connecting: text) }
        guard let row = try await read(Self.byID.call { $0.add(id) }).first else { return nil }
        let record = Self.record(row)
        let matches = TokenText.matches(Array(row.text(Self.tokenColumnCount).utf8), Array(Self.hexadecimal(hash).utf8))
        guard matches, !record.isExpired(at: Date()) else { return nil }
        noteUse(row, id)
        return record
    }

    /// At most once a minute, and nobody waits for it.
    private func noteUse(_ row: PostgresResult.Row, _ id: String) {
        if row.flag(Self.tokenColumnCount + 1) { writeSomeTime(Self.used.call { $0.add(id) }) }
    }

    /// A connect token is what its parent is at this moment, or less.
    private func authenticate(connecting text: String) async throws(StoreError) -> TokenRecord? {
        guard let claims = await connectKeys.claims(of: text, at: Date()) else { return nil }
        if claims.parent == TokenRecord.configuredRoot.id {
            guard let root = configuration.rootTokenHash, connectKeys.isBound(claims, toRoot: root) else { return nil }
            return TokenRecord.configuredRoot.narrowed(to: claims)
        }
        guard let row = try await read(Self.byID.call { $0.add(claims.parent) }).first else { return nil }
        let parent = Self.record(row)
        guard !parent.isExpired(at: Date()) else { return nil }
        noteUse(row, parent.id)
        return parent.narrowed(to: claims)
    }

    /// Nil where there is none, or it has been revoked.
    package func token(_ id: String) async throws(StoreError) -> TokenRecord? {
        try await read(Self.byID.call { $0.add(id) }).first.map { Self.record($0) }
    }

    private static let everKnown = PostgresStatement("token_ever", "SELECT \(tokenColumns) FROM keyvane.token t WHERE t.id = $1")

    /// Also one that has been revoked, for whoever asks a second time to revoke it.
    package func formerToken(_ id: String) async throws(StoreError) -> TokenRecord? {
        try await read(Self.everKnown.call { $0.add(id) }).first.map { Self.record($0) }
    }

    private static let page = PostgresStatement(
        "tokens",
        """
        SELECT \(tokenColumns) FROM keyvane.token t
        WHERE t.id > $1 AND t.revoked_at IS NULL
            AND ($3::text IS NULL OR position(lower($3) IN lower(t.description)) > 0 OR position(lower($3) IN t.id) > 0)
        ORDER BY t.id LIMIT $2::bigint
        """
    )

    /// By id; `text` narrows the list to those with it in their id or description.
    package func tokens(_ page: PageRequest, matching text: String? = nil) async throws(StoreError) -> Page<TokenRecord> {
        let result = try await read(
            Self.page.call { parameters in
                parameters.add(page.after ?? "")
                parameters.add(Int64(page.limit + 1))
                parameters.add(text)
            }
        )
        return Page(result.rows.map { Self.record($0) }, of: page, cursor: \.id)
    }

    private static let revocation = ReceiptStatement(
        "token_revoke",
        parameters: 4,
        work: """
            old AS (
                SELECT * FROM keyvane.token WHERE id = $1 AND revoked_at IS NULL FOR NO KEY UPDATE
            ), revoked AS (
                UPDATE keyvane.token t SET revoked_at = now() FROM old
                WHERE t.id = old.id AND ($4::text[] IS NULL OR old.version::text = ANY ($4::text[])) RETURNING t.*
            ), \(audited("revoke", "revoked", grants: "x.grants", actor: "$2", request: "$3"))
            """,
        columns: ["old.id", "revoked.event"],
        status: "CASE WHEN revoked.id IS NULL THEN 'precondition_failed' ELSE 'ok' END",
        from: "old LEFT JOIN revoked ON true"
    )

    /// - Returns: the number of the event, as far as it is known.
    /// - Throws: `not_found`, `precondition_failed`.
    @discardableResult
    package func revokeToken(_ id: String, _ origin: MutationOrigin) async throws(StoreError) -> Int64? {
        let receipt = try await once(origin.key, Self.revocation, refusal: Self.refusal) { parameters in
            parameters.add(id)
            parameters.add(origin.actor)
            parameters.add(origin.requestID)
            parameters.add(list: origin.condition)
        }
        return receipt.row.optionalInteger(1)
    }

    /// False where there is no such token.
    @discardableResult
    package func revokeToken(_ id: String, by actor: String, requestID: String? = nil) async throws(StoreError) -> Bool {
        do throws(StoreError) {
            try await revokeToken(id, MutationOrigin(actor: actor, requestID: requestID))
            return true
        } catch  where error.code == .notFound {
            return false
        }
    }
}
