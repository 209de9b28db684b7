// Keyvane
// SPDX-License-Identifier: Apache-2.0

import TestSupport

extension PostgresDatabase {
    /// The change tables of these environments; read by psql, apart from everything under test.
    func histories(_ paths: [String]) async throws -> [EnvironmentHistory] {
        var histories: [EnvironmentHistory] = []
        for path in paths {
            let found = try await sql(
                "SELECT id || '|0-' || lpad(to_hex(origin_mark), 8, '0') FROM keyvane.environment WHERE path = '\(path)'"
            )
            guard let place = found.first?.split(separator: "|").map(String.init), place.count == 2 else {
                throw DeadlinePassed("\(path) is not in PostgreSQL")
            }
            let rows = try await sql(
                """
                SELECT revision, first, last, revision || '-' || lpad(to_hex(mark), 8, '0'), name, kind, visible, version, \(ValueMark.sql)
                FROM keyvane.change WHERE environment_id = '\(place[0])' ORDER BY revision
                """
            )
            guard let history = EnvironmentHistory(path: path, origin: place[1], changes: try rows.map(Self.change)) else {
                throw DeadlinePassed("the change table of \(path) is not consecutive")
            }
            histories.append(history)
        }
        return histories
    }

    private static func change(_ line: String) throws -> CommittedChange {
        let columns = line.split(separator: "|", maxSplits: 8, omittingEmptySubsequences: false).map(String.init)
        guard columns.count == 9, let revision = Int(columns[0]), let first = Int(columns[1]), let last = Int(columns[2]),
            let version = Int(columns[7])
        else { throw DeadlinePassed("a row of the change table: \(line)") }
        let (isSecret, isSet) = (columns[5] == "secret", columns[6] == "t")
        return CommittedChange(
            revision: revision,
            first: first,
            last: last,
            cursor: columns[3],
            name: columns[4],
            isSecret: isSecret,
            isSet: isSet,
            value: isSet && !isSecret ? columns[8] : nil,
            version: version
        )
    }
}
