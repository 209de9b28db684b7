// Keyvane
// SPDX-License-Identifier: Apache-2.0

import CPQ
import Foundation

/// Owns one PGresult.
///
/// Unchecked: it is never changed after it was made, and libpq allows reading a result from any thread.
final class PostgresResult: @unchecked Sendable {
    private let raw: OpaquePointer

    enum Status {
        case done
        case failed(sqlState: String)
        /// Skipped, because an earlier statement of its transaction failed.
        case skipped
        case synced
    }

    init(owning raw: OpaquePointer) {
        self.raw = raw
    }

    deinit {
        PQclear(raw)
    }

    var status: Status {
        switch PQresultStatus(raw) {
        case PGRES_TUPLES_OK, PGRES_COMMAND_OK, PGRES_EMPTY_QUERY: .done
        case PGRES_PIPELINE_SYNC: .synced
        case PGRES_PIPELINE_ABORTED: .skipped
        default: .failed(sqlState: PQresultErrorField(raw, Int32(UInt8(ascii: "C"))).map { String(cString: $0) } ?? "")
        }
    }

    var rows: Rows { Rows(result: self, count: Int(PQntuples(raw))) }
    var first: Row? { rows.first }

    struct Rows: RandomAccessCollection {
        fileprivate let result: PostgresResult
        let count: Int
        var startIndex: Int { 0 }
        var endIndex: Int { count }
        subscript(position: Int) -> Row { Row(result: result, index: Int32(position)) }
    }

    /// Columns are read by position, in the order of the statement's SELECT list. What the schema rules out traps with the column.
    struct Row {
        fileprivate let result: PostgresResult
        fileprivate let index: Int32

        func isNull(_ column: Int32) -> Bool { PQgetisnull(result.raw, index, column) == 1 }

        func text(_ column: Int32) -> String {
            guard let start = PQgetvalue(result.raw, index, column) else { return "" }
            let bytes = UnsafeRawBufferPointer(start: start, count: Int(PQgetlength(result.raw, index, column)))
            return String(decoding: bytes, as: UTF8.self)
        }

        func optionalText(_ column: Int32) -> String? { isNull(column) ? nil : text(column) }

        func integer(_ column: Int32) -> Int64 {
            guard let value = Int64(text(column)) else { preconditionFailure("column \(column) is no integer") }
            return value
        }

        func optionalInteger(_ column: Int32) -> Int64? { isNull(column) ? nil : integer(column) }
        func mark(_ column: Int32) -> UInt32 { UInt32(truncatingIfNeeded: integer(column)) }
        func flag(_ column: Int32) -> Bool { text(column) == "t" }
        func timestamp(_ column: Int32) -> Timestamp { Timestamp(milliseconds: integer(column)) }
        func date(_ column: Int32) -> Date? { isNull(column) ? nil : timestamp(column).date }

        func uuid(_ column: Int32) -> UUID {
            guard let value = UUID(uuidString: text(column)) else { preconditionFailure("column \(column) is no UUID") }
            return value
        }

        func kind(_ column: Int32) -> EntryKind { text(column) == EntryKind.secret.rawValue ? .secret : .variable }
    }
}
