// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Thousands of watchers of one environment, on the gateways' own addresses: killed, drained, restarted, and counted.
// Flows through: sockets of one loop; each frame against the watcher's ledger; moments (an end, a reconnect, a first frame) to the test.
// Owner: a swarm is confined to its loop; the test holds a handle.
// Must hold: a member goes on elsewhere from its last revision, as the protocol asks; nothing here waits or retries faster than it may.

import Reactor
import TestSupport
import Wire

/// One watcher. Confined to the swarm's loop.
final class SwarmMember {
    let number: Int
    var ledger = WatchLedger(goal: .max)
    /// Index of the gateway that it is on, or goes to next.
    var gateway: Int
    /// The connection's own state, until the next one.
    var isConnected = false
    var closing: String?
    /// Milliseconds of the loop: the first frame of the newest connection.
    var resumedAt: UInt64 = 0

    init(_ number: Int, gateway: Int) {
        self.number = number
        self.gateway = gateway
    }
}

/// All of them.
final class Swarm {
    /// When what happened to one member, in the loop's milliseconds.
    struct Moments: Sendable {
        var connects: [UInt64] = []
        /// `closing` messages.
        var farewells: [UInt64] = []
        /// Close codes, and -1 for a connection that was lost.
        var ends: [Int: Int] = [:]
        var reasons: [String: Int] = [:]
        var refused: [Int: Int] = [:]
    }

    private let loop: Loop
    private let ports: [UInt16]
    private let token: String
    private var members: [SwarmMember] = []
    private var waiting: [SwarmMember] = []
    private var connecting = 0
    private var open: [ObjectIdentifier: Connection] = [:]
    private(set) var moments = Moments()
    private(set) var isEnded = false

    /// Handshakes under way at a time: more would measure the kernel's queue of half-open connections.
    private static let width = 256

    init(count: Int, gateways: [UInt16], on first: Int?, token: String, loop: Loop) {
        self.loop = loop
        ports = gateways
        self.token = token
        members = (0..<count).map { SwarmMember($0, gateway: first ?? $0 % gateways.count) }
        waiting = members.reversed()
        pump()
    }

    // MARK: For the test

    /// Members that are connected and have had their first frame there.
    var live: Int { members.count { $0.isConnected && $0.resumedAt > 0 } }

    func reached(_ revision: Int) -> Int { members.count { $0.ledger.head >= revision } }

    var faults: [String] { members.compactMap(\.ledger.fault) }

    /// How many are on each gateway.
    var places: [Int] { ports.indices.map { index in members.count { $0.isConnected && $0.gateway == index } } }

    /// Milliseconds from `moment` to the first frame of each member's newest connection, rising.
    func delays(since moment: UInt64) -> [UInt64] {
        members.map { $0.resumedAt < moment ? 0 : $0.resumedAt - moment }.sorted()
    }

    var now: UInt64 { loop.milliseconds }

    func forgetMoments() {
        moments = Moments()
    }

    func end() {
        isEnded = true
        waiting = []
        for connection in open.values { connection.close() }
    }

    // MARK: Connections

    private func pump() {
        while !isEnded, connecting < Self.width, let member = waiting.popLast() {
            connecting += 1
            Connector.connect(to: Endpoint(host: "127.0.0.1", port: ports[member.gateway]), on: loop, timeout: .seconds(5)) {
                [self] result in
                switch result {
                case .success(let connection): begin(member, connection)
                case .failure:
                    connecting -= 1
                    again(member, after: .milliseconds(100))
                }
            }
        }
    }

    private func begin(_ member: SwarmMember, _ connection: Connection) {
        moments.connects.append(loop.milliseconds)
        let socket = WebSocketClientConnection(connection)
        open[ObjectIdentifier(connection)] = connection
        member.closing = nil
        member.resumedAt = 0
        var hasAnswer = false
        func answered() {
            guard !hasAnswer else { return }
            hasAnswer = true
            connecting -= 1
            pump()
        }
        socket.opened = { _ in
            answered()
            member.isConnected = true
        }
        socket.faulted = { member.ledger.fault("the server broke the protocol: \($0)") }
        socket.received = { [self] bytes in received(bytes, member) }
        socket.ended = { [self] end in
            answered()
            open[ObjectIdentifier(connection)] = nil
            member.isConnected = false
            ended(member, end)
        }
        let since = member.ledger.head >= 0 ? "&since=\(member.ledger.head)" : ""
        socket.start(target: "/v1/watch?environment=\(Cluster.environmentPath)\(since)", fields: [("Authorization", "Bearer \(token)")])
    }

    private func received(_ bytes: Span<UInt8>, _ member: SwarmMember) {
        switch Self.kind(bytes) {
        case UInt8(ascii: "c") where bytes[10] == UInt8(ascii: "l"):
            // {"type":"closing","reason":"drain","reconnectAfterMs":123}
            member.closing = bytes.string()
            moments.farewells.append(loop.milliseconds)
        case UInt8(ascii: "c"), UInt8(ascii: "s"):
            _ = member.ledger.received(bytes)
            // `subscribed` has no revision and leads nowhere.
            if bytes[10] != UInt8(ascii: "u"), member.resumedAt == 0 { member.resumedAt = loop.milliseconds }
        default: break
        }
    }

    /// The first letter of the type.
    private static func kind(_ bytes: Span<UInt8>) -> UInt8 { bytes.count > 10 ? bytes[9] : 0 }

    private func ended(_ member: SwarmMember, _ end: WebSocketClientConnection.End) {
        guard !isEnded else { return }
        switch end {
        case .closed(let code, _): moments.ends[Int(code ?? 1005), default: 0] += 1
        case .lost: moments.ends[-1, default: 0] += 1
        case .refused(let status, _):
            moments.refused[status, default: 0] += 1
            again(member, after: .milliseconds(100))
            return
        }
        guard let closing = member.closing else {
            // Lost without a word: with a jitter, as clients do. By then something has been written that the others' feeds begin behind.
            again(member, after: .milliseconds(100 + Int64(member.number % 200)))
            return
        }
        let reason = closing.contains(#""reason":"drain""#) ? "drain" : closing
        moments.reasons[reason, default: 0] += 1
        let digits = closing.split(separator: #""reconnectAfterMs":"#).last?.prefix { $0.isNumber } ?? ""
        guard let pause = Int64(digits), (0...1_000).contains(pause) else {
            member.ledger.fault("no time to reconnect in \(closing)")
            return
        }
        again(member, after: .milliseconds(pause))
    }

    private func again(_ member: SwarmMember, after pause: Duration) {
        // Spread over the others.
        member.gateway = (member.gateway + 1 + member.number % (ports.count - 1)) % ports.count
        loop.after(pause) { [self] in
            waiting.append(member)
            pump()
        }
    }
}
