// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor
import TestSupport
import Wire

/// A client as the protocol asks for one: keeps its cursors, reconnects elsewhere after a failure, resumes. Watches one environment or
/// several over one connection. Confined to its loop.
final class CampaignClient {
    struct Subscription {
        let path: String
        var log: WatchLog
        /// Where a new subscription goes on, and its revision.
        var cursor: String?
        var revision = -1
    }

    struct Totals: Sendable {
        var connects = 0
        var snapshots = 0
        var changes = 0
        var frames = 0
        /// What no server may ever do to this client.
        var faults: [String] = []
        /// Connections that were refused, or cut without a close frame; and attempts that failed.
        var losses: [String] = []

        static func += (left: inout Totals, right: Totals) {
            left.connects += right.connects
            left.snapshots += right.snapshots
            left.changes += right.changes
            left.frames += right.frames
            left.faults += right.faults
            left.losses += right.losses
        }
    }

    let number: Int
    private(set) var subscriptions: [Subscription]
    private(set) var totals = Totals()
    /// A seeded bug: this frame with changes is lost, as by a client that stores its cursor first and then fails.
    var losesFrame: Int?

    /// Its kernel keeps little for it.
    var isNarrow = false

    private let loop: Loop
    private let token: String
    /// The balancer's port, or the gateways', tried in turn.
    private let ports: [UInt16]
    private var port: Int
    private var generator: SeededGenerator
    /// The open connection, and its WebSocket where it is one.
    private var connection: Connection?
    private var socket: WebSocketClientConnection?
    private var failures = 0
    private var isStopped = false
    private var isStalled = false
    private var announcedPause: Duration?
    private var heardAt: UInt64 = 0

    /// The watch's, by which a peer that says nothing is given up.
    private static let silenceLimit: UInt64 = 45_000

    init(number: Int, subscriptions: [Subscription], ports: [UInt16], token: String, seed: UInt64, on loop: Loop) {
        self.number = number
        self.subscriptions = subscriptions
        self.ports = ports
        self.token = token
        self.loop = loop
        port = number % ports.count
        generator = SeededGenerator(seed, stream: 1_000 + number)
    }

    // MARK: Life

    func connect() {
        guard !isStopped else { return }
        let endpoint = Endpoint(host: "127.0.0.1", port: ports[port])
        Connector.connect(to: endpoint, on: loop, timeout: .seconds(5)) { [self] result in
            switch result {
            case .success(let connection): begin(connection)
            case .failure(let failure):
                totals.losses.append("client \(number): \(failure)")
                retry()
            }
        }
    }

    private func begin(_ connection: Connection) {
        guard !isStopped else {
            connection.close()
            return
        }
        self.connection = connection
        if isNarrow { ReceiveBuffer.shrink(of: connection) }
        heardAt = loop.milliseconds
        totals.connects += 1
        // One in seven brings its token in the query, as browsers do; one in eleven as a message.
        let asMessage = number % 11 == 5
        let inQuery = number % 7 == 3 && !asMessage
        var target = inQuery ? "/v1/watch?access_token=\(token)" : "/v1/watch"
        let fields = inQuery || asMessage ? [] : [(name: "Authorization", value: "Bearer \(token)")]
        guard subscriptions.count == 1, !asMessage else { return converse(connection, target, fields, asMessage: asMessage) }
        let own = subscriptions[0]
        target += "\(inQuery ? "&" : "?")environment=\(own.path)"
        if !own.log.visibility.prefix.isEmpty { target += "&names=\(own.log.visibility.glob)" }
        asked(0)
        // One in six reads an event stream.
        if number % 6 == 2 { return listen(connection, target, fields + (own.cursor.map { [("Last-Event-ID", $0)] } ?? [])) }
        if let cursor = own.cursor { target += "&since=\(cursor)" }
        webSocket(connection).start(target: target, fields: fields)
    }

    private func webSocket(_ connection: Connection) -> WebSocketClientConnection {
        let socket = WebSocketClientConnection(connection)
        self.socket = socket
        // One in three is compressed.
        socket.offersDeflate = number % 3 == 1
        socket.received = { [self] in received($0) }
        socket.pinged = { [self] in heardAt = loop.milliseconds }
        socket.faulted = { [self] in fault("the server broke the protocol: \($0)") }
        socket.ended = { [self] in ended($0) }
        return socket
    }

    /// Subscribes, and perhaps authenticates, by messages.
    private func converse(_ connection: Connection, _ target: String, _ fields: [(name: String, value: String)], asMessage: Bool) {
        let socket = webSocket(connection)
        socket.opened = { [self, weak socket] _ in
            if asMessage { socket?.send(text: #"{"type":"authenticate","token":"\#(token)"}"#) }
            for index in subscriptions.indices { subscribe(index) }
        }
        socket.start(target: target, fields: fields)
    }

    private func listen(_ connection: Connection, _ target: String, _ fields: [(name: String, value: String)]) {
        let stream = EventStreamConnection(connection)
        stream.received = { [self] in received($0) }
        stream.ended = { [self] in ended($0) }
        stream.start(target: target, fields: fields)
    }

    private func subscribe(_ index: Int) {
        let own = subscriptions[index]
        let since = own.cursor.map { #","since":"\#($0)""# } ?? ""
        let names = own.log.visibility.prefix.isEmpty ? "" : #","names":["\#(own.log.visibility.glob)"]"#
        asked(index)
        socket?.send(text: #"{"type":"subscribe","id":\#(index),"environment":"\#(own.path)"\#(since)\#(names)}"#)
    }

    private func asked(_ index: Int) {
        let since = subscriptions[index].cursor.flatMap(WatchMessage.revision)
        subscriptions[index].log.records.append(.asked(since: since))
    }

    private func ended(_ end: WebSocketClientConnection.End) {
        connection = nil
        socket = nil
        isStalled = false
        switch end {
        case .closed(let code?, let reason) where code >= 4400 && code != 4429: fault("closed with \(code) \(reason)")
        case .refused(let status, let body) where ![429, 502, 503, 504].contains(status): fault("refused with \(status) \(body)")
        case .refused(let status, _) where !isStopped: totals.losses.append("client \(number): refused with \(status)")
        // A drained event stream has announced its end by a message, in place of a close frame.
        case .lost where !isStopped && announcedPause == nil: totals.losses.append("client \(number): lost")
        case .closed, .refused, .lost: break
        }
        retry()
    }

    private func retry() {
        guard !isStopped else { return }
        port = (port + 1) % ports.count
        failures += 1
        let longest = min(100 << min(failures, 4), 1_000)
        let pause = announcedPause ?? generator.duration(20...longest)
        announcedPause = nil
        loop.after(pause) { [self] in connect() }
    }

    /// The end of the campaign. By a reset: that an event stream's client has closed, and not only its half, a balancer learns at the next
    /// heartbeat, and until then it would wait for the stream's end.
    func stop() {
        isStopped = true
        connection?.abort()
    }

    /// Gives up a server that has been silent for too long.
    func checkSilence() {
        guard let connection, !isStalled, loop.milliseconds - heardAt > Self.silenceLimit else { return }
        connection.abort()
    }

    // MARK: Faults

    func disconnect(byReset: Bool) {
        if byReset { connection?.abort() } else { connection?.close() }
    }

    /// Stops reading for a while, or until `resume`.
    func stall(for time: Duration) {
        guard let stalled = connection, !isStalled else { return }
        isStalled = true
        stalled.pauseReading()
        loop.after(time) { [self] in
            // Another connection by now has not been stalled.
            if connection === stalled { resume() }
        }
    }

    func resume() {
        guard isStalled else { return }
        isStalled = false
        heardAt = loop.milliseconds
        connection?.resumeReading()
    }

    private func fault(_ text: String) {
        totals.faults.append("client \(number): \(text)")
    }

    // MARK: Messages

    private func received(_ bytes: Span<UInt8>) {
        heardAt = loop.milliseconds
        do {
            try handle(try WatchMessage(bytes))
        } catch {
            fault("\(error) in a message of \(bytes.count) bytes")
        }
    }

    private func handle(_ message: WatchMessage) throws {
        switch message.type {
        case "ready", "subscribed": break
        case "snapshot":
            guard let (index, revision, cursor) = place(message) else { return }
            let entries = (message.entries ?? []).map(\.logged)
            subscriptions[index].log.records.append(.snapshot(revision: revision, cursor: cursor, entries: entries))
            totals.snapshots += 1
            moved(index, revision, cursor)
        case "changes":
            guard let (index, revision, cursor) = place(message), let previous = message.previousRevision else { return }
            let changes = (message.changes ?? []).map(\.logged)
            moved(index, revision, cursor)
            if !changes.isEmpty { totals.frames += 1 }
            totals.changes += changes.count
            if totals.frames == losesFrame, !changes.isEmpty { return }
            let record = WatchLog.Record.changes(previous: previous, revision: revision, cursor: cursor, changes: changes)
            subscriptions[index].log.records.append(record)
        case "heartbeat":
            for (path, cursor) in message.heads ?? [:] {
                guard let index = subscriptions.firstIndex(where: { $0.path == path }), let revision = WatchMessage.revision(of: cursor)
                else {
                    fault("a heartbeat's head of \(path): \(cursor)")
                    continue
                }
                subscriptions[index].log.records.append(.head(revision: revision, cursor: cursor))
                moved(index, revision, cursor)
            }
        case "closing": announcedPause = message.reconnectAfterMs.map { .milliseconds($0) }
        case "error": refused(message)
        default: fault("a message of type \(message.type)")
        }
    }

    private func place(_ message: WatchMessage) -> (index: Int, revision: Int, cursor: String)? {
        guard let index = subscriptions.firstIndex(where: { $0.path == message.environment }), let revision = message.revision,
            let cursor = message.cursor
        else {
            fault("a \(message.type) of \(message.environment ?? "no environment")")
            return nil
        }
        return (index, revision, cursor)
    }

    private func moved(_ index: Int, _ revision: Int, _ cursor: String) {
        failures = 0
        subscriptions[index].cursor = cursor
        subscriptions[index].revision = revision
    }

    /// PostgreSQL is away: the subscription is asked for again on the same connection.
    private func refused(_ message: WatchMessage) {
        guard message.code == "unavailable", let index = subscriptions.firstIndex(where: { $0.path == message.environment }) else {
            fault("an error \(message.code ?? ""): \(message.message ?? "")")
            return
        }
        let asked = socket
        loop.after(generator.duration(100...500)) { [self] in
            if let asked, socket === asked { subscribe(index) }
        }
    }
}
