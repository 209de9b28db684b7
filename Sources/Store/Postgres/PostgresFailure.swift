// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Why a statement or a connection failed. Of the server's answer only the SQLSTATE is kept: its messages may quote values.
struct PostgresFailure: Error, Hashable {
    enum Kind: Hashable {
        /// The connection went, or couldn't be made.
        case connection
        case statement(sqlState: String)
    }

    let kind: Kind
    /// Safe to log: what was attempted, and what libpq said of the connection (never of a statement).
    let message: String

    static func connection(_ message: String) -> PostgresFailure {
        PostgresFailure(kind: .connection, message: message)
    }

    static func statement(_ name: String, sqlState: String) -> PostgresFailure {
        PostgresFailure(kind: .statement(sqlState: sqlState), message: "SQLSTATE \(sqlState) in \(name)")
    }

    private var sqlState: String {
        switch kind {
        case .connection: ""
        case .statement(let sqlState): sqlState
        }
    }

    /// The server is going away or has become a standby: this connection is of no more use, the statement may be.
    var endsConnection: Bool {
        switch kind {
        case .connection: true
        // Without a SQLSTATE it is libpq that lost its way.
        case .statement(let sqlState):
            sqlState.isEmpty || sqlState.hasPrefix("57P") || sqlState.hasPrefix("08") || sqlState == "25006"
        }
    }

    /// Nothing took effect, and the same again may succeed at once: serialization failure, deadlock.
    var isTransient: Bool { sqlState == "40001" || sqlState == "40P01" }

    /// Somebody else holds a lock. Nothing took effect; whoever still has time may queue for it again, behind those who need it not.
    var isLockTimeout: Bool { sqlState == "55P03" }

    /// The row is there already: a mutation of this id has been committed.
    var isUniqueViolation: Bool { sqlState == "23505" }
    var isForeignKeyViolation: Bool { sqlState == "23503" }

    var storeError: StoreError {
        switch kind {
        case _ where endsConnection:
            .unavailable("the database can't be reached", message)
        case .statement("3F000"), .statement("42P01"), .statement("42883"), .statement("42703"), .statement("42704"):
            StoreError(.schemaMissing, "the database has no or an old schema: run 'keyvane migrate'", underlying: message)
        case .statement("57014"), .statement("55P03"):
            .unavailable("the database took too long", message)
        case .statement(let sqlState) where sqlState.hasPrefix("53") || sqlState.hasPrefix("57") || sqlState.hasPrefix("40"):
            .unavailable("the database can't do it at present", message)
        case .statement, .connection:
            StoreError(.internalError, "the database refused a statement; the log has its code", underlying: message)
        }
    }
}

extension StoreError {
    static func unavailable(_ why: String, _ underlying: String? = nil) -> StoreError {
        StoreError(.unavailable, "\(why); try again", underlying: underlying)
    }
}
