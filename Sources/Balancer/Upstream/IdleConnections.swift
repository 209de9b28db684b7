// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Upstream: this loop's connections to the servers.
// Flows through: `IdleConnections` lends an open connection or `UpstreamConnection` gets a new one; an exchange uses it and gives it back.
// Owner: a loop; a connection serves one exchange at a time, and no loop ever touches another's.
// Must hold: what is idle has nothing unread, and leaves the moment its server says anything; a connection with a doubt is closed,
//   not kept.

/// Unused connections to one server, the most recent on top. Confined to its loop.
final class IdleConnections {
    private var stack: [UpstreamConnection] = []
    private let limit: Int
    private var isOpen = true

    init(limit: Int) {
        self.limit = limit
    }

    /// Connections may be kept (again).
    func open() {
        isOpen = true
    }

    /// The server is out: nothing is kept until `open`.
    func close() {
        isOpen = false
        let closing = stack
        stack = []
        for connection in closing { connection.close() }
    }

    /// The most recently used one: its server has had the least time to hang up.
    func take() -> UpstreamConnection? {
        stack.popLast()
    }

    /// False leaves the connection to the caller.
    func keep(_ connection: UpstreamConnection) -> Bool {
        guard isOpen else { return false }
        stack.append(connection)
        return true
    }

    /// More than the limit: kept for a moment only, or a wave of requests would open and close connections all the time.
    var isOverfull: Bool { stack.count > limit }

    func remove(_ connection: UpstreamConnection) {
        stack.removeAll { $0 === connection }
    }
}
