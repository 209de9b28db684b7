// Keyvane
// SPDX-License-Identifier: Apache-2.0

extension ConfigurationStore {
    /// Only the oldest rows are ever trimmed, so where the asked row is, all later ones are. One statement: the events and the tokens as of the
    /// same moment.
    private static let eventsAfter = PostgresStatement(
        "token_events",
        """
        SELECT \(tokenColumns), l.last, h.mark, a.sequence IS NOT NULL, e.sequence, e.mark, e.token_id
        FROM keyvane.token_log l
        JOIN keyvane.token_event h ON h.sequence = l.last
        LEFT JOIN keyvane.token_event a ON a.sequence = $1::bigint AND a.mark = $2::bigint
        LEFT JOIN LATERAL (
            SELECT * FROM keyvane.token_event x WHERE x.sequence > a.sequence ORDER BY x.sequence LIMIT $3::bigint
        ) e ON true
        LEFT JOIN keyvane.token t ON t.id = e.token_id AND t.revoked_at IS NULL
        ORDER BY e.sequence
        """
    )

    /// What became of tokens after a place in their log, at most `limit` events of it. Without a place: only where the log ends.
    package func tokenEvents(after place: TokenLogPlace?, limit: Int) async throws(StoreError) -> TokenEventPage {
        let result = try await read(
            Self.eventsAfter.call { parameters in
                parameters.add(place?.sequence)
                parameters.add(place.map { Int64($0.mark) })
                parameters.add(Int64(limit))
            }
        )
        let base = Self.tokenColumnCount
        guard let head = result.first else {
            throw StoreError(.internalError, "the log of tokens is damaged: restore keyvane.token_log and token_event from a backup")
        }
        let end = TokenLogPlace(sequence: head.integer(base), mark: head.mark(base + 1))
        let isWhole = head.flag(base + 2)
        guard isWhole, !head.isNull(base + 3) else { return TokenEventPage(events: [], place: end, isWhole: isWhole, hasMore: false) }
        let events = result.rows.map { row in
            TokenEvent(
                sequence: row.integer(base + 3),
                tokenID: row.text(base + 5),
                token: row.isNull(0) ? nil : Self.record(row)
            )
        }
        let last = result.rows[result.rows.count - 1]
        let reached = TokenLogPlace(sequence: last.integer(base + 3), mark: last.mark(base + 4))
        return TokenEventPage(events: events, place: reached, isWhole: true, hasMore: reached.sequence < end.sequence)
    }

    /// The oldest ones, up to the last that is a day old; never the newest, which is where readers stand. By number and not by age, so that
    /// nothing older than what is left is left.
    static let tokenEventTrimming = PostgresStatement(
        "retention_token_events",
        """
        DELETE FROM keyvane.token_event d WHERE d.sequence <= (
            SELECT max(x.sequence) FROM (
                SELECT e.sequence, e.at FROM keyvane.token_event e ORDER BY e.sequence LIMIT $1::bigint
            ) x WHERE x.at < now() - interval '24 hours' AND x.sequence < (SELECT l.last FROM keyvane.token_log l)
        ) RETURNING d.sequence
        """
    )
}
