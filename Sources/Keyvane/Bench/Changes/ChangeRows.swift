// Keyvane
// SPDX-License-Identifier: Apache-2.0

import CPQ
import Foundation
import Notifier
import Reactor
import Store

/// Inserts rows of the log by the block, each a transaction of its own for the gateway, and moves the environments' heads with them.
///
/// Unchecked: the connection is used on its loop alone, where its calls may block.
final class ChangeRows: @unchecked Sendable {
    private let connection: OpaquePointer
    private let loop: Loop
    private let environments: [UUID]
    private let authenticator: MessageAuthenticator
    private let bytes: Int

    /// Commands for Redis that announce one environment's new rows, in order.
    struct Block: Sendable {
        let place: Int
        let commands: [[UInt8]]
    }

    static let channel = NotifierChannels().changes

    /// Marks follow from revisions here, so that a row says all that its message needs.
    private static let insertion = """
        WITH block AS (
            UPDATE keyvane.environment e SET revision = e.revision + $2::bigint, mark = (e.revision + $2::bigint) & 4294967295
            WHERE e.id = ANY ($1::uuid[]) RETURNING e.id, e.revision - $2::bigint AS base
        ), made AS (
            INSERT INTO keyvane.change
                (environment_id, revision, first, last, mark, name, kind, action, visible, value, version, enabled, at, actor)
            SELECT b.id, r, r, r, r & 4294967295, 'ENTRY_' || r % 10, 'variable', 'set', true,
                '=^' || lpad(to_hex(r & 4294967295), 8, '0') || repeat('x', $3::int - 10), r, true, $4::timestamptz, 'root'
            FROM block b CROSS JOIN LATERAL generate_series(b.base + 1, b.base + $2::bigint) r
        )
        SELECT id, base FROM block
        """

    init(_ backends: BenchBackends, bytes: Int) throws {
        loop = backends.loops.loops[1]
        environments = backends.environments
        authenticator = backends.authenticator
        self.bytes = bytes
        guard let connection = PQconnectdb(backends.postgresURL), PQstatus(connection) == CONNECTION_OK else {
            throw RunError("no connection to insert rows over")
        }
        self.connection = connection
    }

    deinit {
        PQfinish(connection)
    }

    /// Inserts `count` changes into each environment, named by its place.
    func insert(_ count: Int, in places: [Int], _ done: @escaping @Sendable (Result<[Block], any Error>) -> Void) {
        loop.post { [self] in done(Result { try insert(count, in: places) }) }
    }

    private func insert(_ count: Int, in places: [Int]) throws -> [Block] {
        let at = Timestamp(Date()).description
        let identifiers = places.map { environments[$0].uuidString.lowercased() }
        let parameters = ["{\(identifiers.joined(separator: ","))}", "\(count)", "\(bytes)", at]
        let texts = parameters.map { strdup($0) }
        defer { for text in texts { free(text) } }
        let values = texts.map { UnsafePointer($0) }
        let result = PQexecParams(connection, Self.insertion, 4, nil, values, nil, nil, 0)
        defer { PQclear(result) }
        guard PQresultStatus(result) == PGRES_TUPLES_OK else { throw RunError(String(cString: PQerrorMessage(connection))) }
        var bases: [String: Int64] = [:]
        for row in 0..<PQntuples(result) {
            bases[String(cString: PQgetvalue(result, row, 0))] = Int64(String(cString: PQgetvalue(result, row, 1)))
        }
        return zip(places, identifiers).map { place, identifier in
            let base = bases[identifier] ?? 0
            return Block(place: place, commands: (base + 1...base + Int64(count)).map { command($0, environment: identifier, at: at) })
        }
    }

    private func command(_ revision: Int64, environment: String, at: String) -> [UInt8] {
        let message = ChangeMessage(
            environmentID: environment,
            name: "ENTRY_\(revision % 10)",
            value: String(decoding: Marker.value(UInt32(truncatingIfNeeded: revision), bytes: bytes), as: UTF8.self),
            isSecret: false,
            operation: .set,
            revision: revision,
            version: revision,
            first: revision,
            last: revision,
            mark: UInt32(truncatingIfNeeded: revision),
            at: at,
            by: "root"
        )
        let text = message.encoded(authenticator)
        let head = "*3\r\n$7\r\nPUBLISH\r\n$\(Self.channel.utf8.count)\r\n\(Self.channel)\r\n$\(text.count)\r\n"
        return [UInt8](head.utf8) + text + [13, 10]
    }
}
