// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Foundation

extension ConfigurationStore {
    static let changeColumns = """
        c.revision, c.first, c.last, c.mark, c.name, c.kind, c.visible, c.value, c.version, (extract(epoch FROM c.at) * 1000)::bigint, c.actor
        """

    /// `base` is the position of the first of `changeColumns`.
    static func change(_ row: PostgresResult.Row, environmentID: UUID, base: Int32) -> Change {
        let kind = row.kind(base + 5)
        let isVisible = row.flag(base + 6)
        return Change(
            environmentID: environmentID,
            revision: row.integer(base),
            first: row.integer(base + 1),
            last: row.integer(base + 2),
            mark: row.mark(base + 3),
            name: row.text(base + 4),
            kind: kind,
            op: isVisible ? .set : .delete,
            value: isVisible ? row.optionalText(base + 7).map { StoredValue(kind: kind, text: $0) } : nil,
            version: row.integer(base + 8),
            at: row.timestamp(base + 9),
            by: row.text(base + 10)
        )
    }

    /// Revisions have no gaps, so the row at since + limit says where its transaction ends. The outer joins keep an environment without
    /// news in the answer.
    private static let changesSince = PostgresStatement(
        "changes_since",
        """
        SELECT v.id, v.revision, v.mark, p.since < v.trimmed_through,
            CASE WHEN p.since = 0 THEN v.origin_mark ELSE m.mark END, \(changeColumns)
        FROM unnest($1::uuid[], $2::bigint[]) WITH ORDINALITY AS p (id, since, ordinal)
        JOIN keyvane.environment v ON v.id = p.id
        LEFT JOIN keyvane.change m ON m.environment_id = p.id AND m.revision = p.since
        LEFT JOIN LATERAL (
            SELECT * FROM keyvane.change x WHERE x.environment_id = p.id AND x.revision > p.since AND x.revision <= coalesce(
                (SELECT y.last FROM keyvane.change y WHERE y.environment_id = p.id AND y.revision = least(p.since, v.revision) + $3::bigint), v.revision)
            ORDER BY x.revision
        ) c ON true
        ORDER BY p.ordinal, c.revision
        """
    )

    /// The log after `since`: at least `limit` changes where there are so many, and then to the end of the transaction.
    /// - Throws: `not_found`.
    package func changes(environmentID: UUID, since: Int64, limit: Int) async throws(StoreError) -> ChangesPage {
        guard let page = try await changes(since: [HeadProbe(id: environmentID, revision: since)], limit: limit).first else {
            throw StoreError(.notFound, "there is no such environment")
        }
        return page
    }

    /// The same for many environments in one read, in the order asked for; each environment once. Those that are gone are missing.
    package func changes(since probes: [HeadProbe], limit: Int) async throws(StoreError) -> [ChangesPage] {
        let result = try await read(
            Self.changesSince.call { parameters in
                parameters.add(probes.lazy.map(\.id))
                parameters.add(probes.lazy.map { Optional($0.revision) })
                parameters.add(Int64(limit))
            }
        )
        var pages: [ChangesPage] = []
        var rows = result.rows[...]
        while let head = rows.first {
            let id = head.uuid(0)
            let idText = head.text(0)
            let own = rows.prefix { $0.text(0) == idText }
            rows = rows.dropFirst(own.count)
            let tooOld = head.flag(3)
            pages.append(
                ChangesPage(
                    environmentID: id,
                    changes: tooOld || head.isNull(5) ? [] : own.map { Self.change($0, environmentID: id, base: 5) },
                    revision: head.integer(1),
                    mark: head.mark(2),
                    markAtSince: head.isNull(4) ? nil : head.mark(4),
                    tooOld: tooOld
                )
            )
        }
        return pages
    }

    private static let changesBetween = PostgresStatement(
        "changes_between",
        """
        SELECT \(changeColumns) FROM keyvane.change c
        WHERE c.environment_id = $1::uuid AND c.revision BETWEEN $2::bigint AND $3::bigint ORDER BY c.revision
        """
    )

    /// Exactly these revisions, as far as the log still has them.
    package func changes(environmentID: UUID, first: Int64, last: Int64) async throws(StoreError) -> [Change] {
        let result = try await read(
            Self.changesBetween.call { parameters in
                parameters.add(environmentID)
                parameters.add(first)
                parameters.add(last)
            }
        )
        return result.rows.map { Self.change($0, environmentID: environmentID, base: 0) }
    }

    private static let headsOf = PostgresStatement(
        "heads",
        """
        SELECT v.id, v.revision, v.mark, CASE WHEN p.revision = 0 THEN v.origin_mark ELSE c.mark END
        FROM unnest($1::uuid[], $2::bigint[]) AS p (id, revision)
        JOIN keyvane.environment v ON v.id = p.id
        LEFT JOIN keyvane.change c ON c.environment_id = p.id AND c.revision = p.revision
        """
    )

    /// The heads of many environments at once; those that are gone are missing.
    package func heads(_ probes: [HeadProbe]) async throws(StoreError) -> [Head] {
        guard !probes.isEmpty else { return [] }
        let result = try await read(
            Self.headsOf.call { parameters in
                parameters.add(probes.lazy.map(\.id))
                parameters.add(probes.lazy.map { Optional($0.revision) })
            }
        )
        return result.rows.map { row in
            Head(id: row.uuid(0), revision: row.integer(1), mark: row.mark(2), markAtProbe: row.isNull(3) ? nil : row.mark(3))
        }
    }
}
