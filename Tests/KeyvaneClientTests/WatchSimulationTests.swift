// Keyvane
// SPDX-License-Identifier: Apache-2.0

import KeyvaneClient
import Testing

/// The state machine and the queue against a model of a gateway that writes, sends, loses frames and drops connections in a random,
/// repeatable order. Whatever happened, the consumer ends with the gateway's state.
@Suite("A watch in a random world")
struct WatchSimulationTests {
    @Test("ends with the gateway's state", arguments: 0..<300)
    func converges(seed: Int) {
        var world = World(seed: UInt64(seed))
        for _ in 0..<400 { world.step() }
        world.settle()
        #expect(world.consumer?.values == world.gateway.visible)
        #expect(world.consumer.map { $0.revision <= world.gateway.revision } == true)
        #expect(world.sawOlderState == false)
    }
}

private struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

/// A gateway with one environment, of which names that start with H are hidden from the watcher.
private struct Gateway {
    private(set) var revision = 0
    private(set) var values: [String: String] = [:]
    private var log: [(name: String, value: String?)] = []
    /// The revision of the last frame of the open subscription, and the revision up to which everything visible was sent.
    private var subscription: (frame: Int, sent: Int)?

    var visible: [String: String] { values.filter { !$0.key.hasPrefix("H") } }

    mutating func write(_ name: String, _ value: String?) {
        revision += 1
        values[name] = value
        log.append((name, value))
    }

    mutating func disconnect() { subscription = nil }

    mutating func answer(_ message: ClientMessage) -> [ServerMessage] {
        guard case .subscribe(let id, let asked) = message else { return [] }
        let granted = ServerMessage.subscribed(id: id, environment: GoldenMessages.environment)
        guard let since = asked.since?.revision, since <= revision else {
            subscription = (revision, revision)
            return [granted, .snapshot(GoldenMessages.snapshot(revision, visible))]
        }
        subscription = (revision, revision)
        return [granted, .changes(frame(from: since, after: since))]
    }

    /// What a sweep of the sockets sends: nothing where nothing visible happened.
    mutating func sweep() -> ServerMessage? {
        guard let (last, sent) = subscription, sent < revision else { return nil }
        let changes = frame(from: last, after: sent)
        subscription = (changes.changes.isEmpty ? last : revision, revision)
        return changes.changes.isEmpty ? nil : .changes(changes)
    }

    func heartbeat() -> ServerMessage? {
        guard let subscription else { return nil }
        return .heartbeat(heads: [GoldenMessages.environment: GoldenMessages.cursor(subscription.sent)])
    }

    private func frame(from previous: Int, after sent: Int) -> WatchChanges {
        let changes = log[sent...].filter { !$0.name.hasPrefix("H") }
        return GoldenMessages.changes(previous, revision, changes.map { ($0.name, $0.value) })
    }
}

private struct World {
    private(set) var gateway = Gateway()
    private(set) var consumer: EnvironmentConfiguration?
    private(set) var sawOlderState = false
    private var random: SplitMix
    private var machine: WatchStateMachine
    private var queue: WatchEventQueue
    private var toClient: [ServerMessage] = []
    private var toGateway: [ClientMessage] = []
    private var isConnected = false
    /// A frame is lost and no later one shows it yet. A heartbeat would vouch for it, and nobody could know better.
    private var hasLost = false
    private var now = Duration.zero

    init(seed: UInt64) {
        random = SplitMix(state: seed)
        machine = WatchStateMachine(WatchSubscription(environment: GoldenMessages.environment), settings: WatchSettings())
        // Small limits, so that merging and dropping happen all the time.
        queue = WatchEventQueue(limit: 1_500, hardLimit: seed.isMultiple(of: 2) ? 2_500 : 1_000_000)
        perform(machine.started())
    }

    mutating func step() {
        now += .milliseconds(Int.random(in: 1...500, using: &random))
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<30: write()
        case 30..<50: sweep(losing: Int.random(in: 0..<20, using: &random) == 0)
        case 50..<55: if isConnected, !hasLost, let heartbeat = gateway.heartbeat() { toClient.append(heartbeat) }
        case 55..<75: deliverToClient()
        case 75..<85: deliverToGateway()
        case 85..<97: consume()
        case 97: if isConnected { disconnect() }
        default: connect()
        }
    }

    /// Everything that is on its way arrives. One more frame shows what the last one lost, and the second round brings the snapshot.
    /// More rounds would only write over what was missed.
    mutating func settle() {
        connect()
        for _ in 0..<2 {
            write(visible: true)
            sweep(losing: false)
            while !toClient.isEmpty || !toGateway.isEmpty {
                deliverToGateway()
                deliverToClient()
                while !queue.isEmpty { consume() }
            }
            while !queue.isEmpty { consume() }
        }
    }

    private mutating func write(visible: Bool = false) {
        let name = (visible || Bool.random(using: &random) ? "N" : "H") + "\(Int.random(in: 0..<12, using: &random))"
        gateway.write(name, Int.random(in: 0..<4, using: &random) == 0 ? nil : "value \(gateway.revision)")
    }

    private mutating func sweep(losing: Bool) {
        guard isConnected, let frame = gateway.sweep() else { return }
        hasLost = losing
        if !losing { toClient.append(frame) }
    }

    private mutating func deliverToClient() {
        guard !toClient.isEmpty else { return }
        perform(machine.received(toClient.removeFirst(), jitter: 0.5))
    }

    private mutating func deliverToGateway() {
        guard !toGateway.isEmpty else { return }
        toClient += gateway.answer(toGateway.removeFirst())
    }

    private mutating func disconnect() {
        dropWires()
        perform(machine.closed(code: nil, reason: "", at: now, jitter: 0.5))
    }

    private mutating func connect() {
        guard !isConnected else { return }
        isConnected = true
        if case .connect = machine.delayElapsed() { perform(machine.connected(at: now)) }
    }

    private mutating func consume() {
        switch queue.popFirst() {
        case .none, .connected, .disconnected:
            break
        case .snapshot(let snapshot):
            if snapshot.revision < consumer?.revision ?? 0 { sawOlderState = true }
            consumer = EnvironmentConfiguration(snapshot)
        case .changes(let changes):
            if changes.previousRevision < consumer?.revision ?? 0 { sawOlderState = true }
            consumer?.apply(changes)
        }
    }

    private mutating func dropWires() {
        isConnected = false
        hasLost = false
        gateway.disconnect()
        toClient = []
        toGateway = []
    }

    private mutating func perform(_ action: WatchStateMachine.Action) {
        switch action {
        case .none, .checkSilence:
            break
        case .connect:
            isConnected = true
            perform(machine.connected(at: now))
        case .send(let message):
            toGateway.append(message)
        case .deliver(let event, _):
            if !queue.append(event) { perform(machine.overflowed()) }
        case .reconnect(let interruption):
            dropWires()
            if !queue.append(.disconnected(interruption)) { perform(machine.overflowed()) }
        case .finish(let error):
            Issue.record(error)
        }
    }
}
