// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Gateway
import Reactor
import Store
import Testing

/// A socket that takes what it is told to take.
private final class FakeSocket: OutletSink, OutletOwner {
    var room = Int.max
    private(set) var received: [UInt8] = []
    private(set) var writes = 0
    private(set) var fellBehind: [(GroupID, Cursor)] = []
    private(set) var ended: [(GroupID, GroupEnd)] = []
    private(set) var wantsDrained = false
    var isGone = false

    func writeSome(_ bytes: Span<UInt8>) -> Int? {
        guard !isGone else { return nil }
        guard !wantsDrained else { return 0 }
        writes += 1
        let count = min(room, bytes.count)
        bytes.extracting(..<count).withUnsafeBufferPointer { received += $0 }
        room -= count
        if count < bytes.count { wantsDrained = true }
        return count
    }

    func drain(_ outlet: Outlet, room: Int) {
        self.room = room
        guard wantsDrained else { return }
        wantsDrained = false
        _ = outlet.drained()
    }

    func outletFellBehind(_ group: GroupID, sent cursor: Cursor) { fellBehind.append((group, cursor)) }
    func outletEnded(_ group: GroupID, _ reason: GroupEnd) { ended.append((group, reason)) }
}

@Suite struct HubTests {
    private final class Clock {
        var now: UInt64 = 0
        var turns = 0
    }

    private let clock = Clock()
    private let hub: Hub

    init() {
        hub = Hub(
            metrics: GatewayMetrics(),
            clock: { [clock] in clock.now },
            wallClock: { 0 },
            requestTurn: { [clock] in clock.turns += 1 }
        )
    }

    private func cursor(_ revision: Int) -> Cursor { Cursor(revision: Int64(revision), mark: UInt32(revision)) }

    private func join(_ group: GroupID, at revision: Int, needsVariant: Bool = false) -> (FakeSocket, Outlet) {
        let socket = FakeSocket()
        let outlet = Outlet(socket, hub: hub)
        outlet.owner = socket
        hub.join(group, outlet, head: cursor(revision), base: cursor(revision), needsVariant: needsVariant)
        return (socket, outlet)
    }

    private func frame(_ revision: Int, size: Int = 100) -> EncodedFrame {
        var bytes = Array("<\(revision):".utf8)
        bytes += Array(repeating: UInt8(ascii: "."), count: max(0, size - bytes.count - 1))
        bytes.append(UInt8(ascii: ">"))
        return EncodedFrame(bytes: bytes, cursor: cursor(revision), changes: 1, committedAt: 0)
    }

    private func publish(_ group: GroupID, _ revisions: [Int], size: Int = 100) {
        guard let last = revisions.last else { return }
        hub.publish([Publication(group: group, frames: revisions.map { frame($0, size: size) }, head: cursor(last))])
    }

    /// The revisions of the whole frames that came, or nil where bytes of two frames are mixed.
    private func revisions(_ socket: FakeSocket) -> [Int]? {
        var found: [Int] = []
        for part in socket.received.split(separator: UInt8(ascii: ">")) {
            guard part.first == UInt8(ascii: "<"), part.dropFirst().allSatisfy({ $0 != UInt8(ascii: "<") }) else { return nil }
            guard let revision = Int(String(decoding: part.dropFirst().prefix { $0 != UInt8(ascii: ":") }, as: UTF8.self)) else {
                return nil
            }
            found.append(revision)
        }
        return found
    }

    private func sent(_ outlet: Outlet, in group: GroupID = 1) -> Cursor? {
        hub.group(group).flatMap { outlet.sentCursor(in: $0) }
    }

    private func written(_ sockets: [(FakeSocket, Outlet)]) -> [Int] {
        sockets.map { $0.0.writes }
    }

    /// What all of them got alike; nil where they differ.
    private func common(_ sockets: [(FakeSocket, Outlet)]) -> [Int]? {
        let all = Set(sockets.map { revisions($0.0) })
        return all.count == 1 ? all.first ?? nil : nil
    }

    private func sweepAll() {
        while hub.sweep() {}
    }

    @Test func oneWriteTakesEverythingThatWaits() {
        let (socket, _) = join(1, at: 0)
        publish(1, [1, 2, 3])
        publish(1, [4])
        #expect(clock.turns == 1)
        sweepAll()
        #expect(revisions(socket) == [1, 2, 3, 4])
        #expect(socket.writes == 1)
        #expect(hub.group(1)?.log.isEmpty == true)
    }

    @Test func aTurnMakesNoMoreThanItsShareOfSends() {
        let share = Hub.sendsPerTurn
        let sockets = (0..<600).map { _ in join(1, at: 0) }
        publish(1, [1])
        #expect(hub.sweep())
        #expect(written(sockets).reduce(0, +) == share)
        // Joins the rest of the sweep, and the others are visited again.
        publish(1, [2])
        sweepAll()
        #expect(common(sockets) == [1, 2])
        // All but the first ones got both at once.
        #expect(written(sockets).reduce(0, +) == 600 + share)
    }

    @Test func groupsTakeTurns() {
        let big = (0..<2_000).map { _ in join(1, at: 0) }
        let (small, _) = join(2, at: 0)
        publish(1, [1])
        publish(2, [1])
        _ = hub.sweep()
        #expect(revisions(small) == [1])
        #expect(written(big).reduce(0, +) < Hub.sendsPerTurn)
        sweepAll()
        #expect(common(big) == [1])
    }

    @Test func aStartedFrameIsFinishedBeforeAnythingElse() {
        let (socket, outlet) = join(1, at: 0)
        hub.join(2, outlet, head: cursor(0), base: cursor(0), needsVariant: false)
        socket.room = 30
        publish(1, [1, 2])
        sweepAll()
        #expect(outlet.isBlocked)
        outlet.send(Array("<900:>".utf8))
        publish(2, [500])
        sweepAll()
        socket.drain(outlet, room: 40)
        socket.drain(outlet, room: .max)
        sweepAll()
        #expect(revisions(socket)?.first == 1)
        #expect(revisions(socket)?[1] == 900)
        #expect(revisions(socket)?.sorted() == [1, 2, 500, 900])
    }

    @Test func leavingInsideAFrameFinishesIt() {
        let (socket, outlet) = join(1, at: 0)
        socket.room = 150
        publish(1, [1, 2, 3])
        sweepAll()
        hub.leave(1, outlet)
        outlet.send(Array("<900:>".utf8))
        socket.drain(outlet, room: .max)
        #expect(revisions(socket) == [1, 2, 900])
        #expect(hub.group(1) == nil)
    }

    @Test func aStalledSocketFallsBehindAndCostsOthersNothing() {
        let (stalled, outlet) = join(1, at: 0)
        let (healthy, _) = join(1, at: 0)
        stalled.room = 250
        for revision in 1...400 {
            publish(1, [revision], size: 10_000)
            sweepAll()
        }
        #expect(revisions(healthy) == Array(1...400))
        #expect(stalled.fellBehind.count == 1)
        // It was in the middle of its first frame, which it will get whole.
        #expect(stalled.fellBehind[0].1.revision == 1)
        #expect(hub.group(1)?.members.count == 1)
        #expect(hub.group(1)?.log.isEmpty == true)
        stalled.drain(outlet, room: .max)
        #expect(revisions(stalled) == [1])
    }

    @Test func theLogKeepsNoMoreThanItsLimit() {
        let (stalled, _) = join(1, at: 0)
        stalled.room = 0
        var most = 0
        for revision in 1...3_000 {
            publish(1, [revision], size: 1_000)
            sweepAll()
            most = max(most, hub.group(1)?.log.count ?? 0)
        }
        #expect(most <= HubGroup.lagLimit * 5 / 4 + 2_000)
        #expect(stalled.fellBehind.count == 1)
        #expect(hub.group(1) == nil)
    }

    @Test func aBurstDoesNotDropSocketsThatTakeBytes() {
        let sockets = (0..<3).map { _ in join(1, at: 0) }
        publish(1, Array(1...400), size: 10_000)
        sweepAll()
        let dropped = sockets.flatMap { $0.0.fellBehind }
        #expect(dropped.isEmpty)
        #expect(common(sockets) == Array(1...400))
    }

    @Test func aLaterStarterGetsItsVariantOfTheFirstFrame() {
        let (early, _) = join(1, at: 5)
        let (late, outlet) = join(1, at: 7, needsVariant: true)
        let variant = Array("<801:>".utf8)
        #expect(sent(outlet) == cursor(7))
        hub.publish([Publication(group: 1, frames: [frame(8), frame(9)], variants: [7: variant], head: cursor(9))])
        sweepAll()
        #expect(revisions(early) == [8, 9])
        #expect(revisions(late) == [801, 9])
        publish(1, [10])
        sweepAll()
        #expect(revisions(late) == [801, 9, 10])
    }

    @Test func invisibleChangesMoveTheHeadOnly() {
        let (socket, outlet) = join(1, at: 5)
        hub.publish([Publication(group: 1, frames: [], head: cursor(9))])
        sweepAll()
        #expect(socket.received.isEmpty)
        #expect(sent(outlet) == cursor(9))
    }

    @Test func headsTellWhatASocketReallyHas() {
        let (socket, outlet) = join(1, at: 0)
        publish(1, [1])
        sweepAll()
        socket.room = 50
        publish(1, [2, 3])
        sweepAll()
        // The second frame has begun and will be finished; the third waits in the log.
        #expect(sent(outlet) == cursor(2))
        socket.drain(outlet, room: .max)
        #expect(sent(outlet) == cursor(3))
    }

    @Test func endedGroupsTellTheirSockets() {
        let (socket, outlet) = join(1, at: 0)
        hub.end(1, .deleted)
        #expect(socket.ended.count == 1)
        #expect(outlet.seats.isEmpty)
        #expect(hub.group(1) == nil)
    }

    @Test func aClosedSocketFreesItsSeats() {
        let (socket, outlet) = join(1, at: 0)
        let (other, _) = join(1, at: 0)
        socket.isGone = true
        publish(1, [1])
        sweepAll()
        #expect(outlet.isClosed)
        hub.leaveAll(outlet)
        sweepAll()
        #expect(hub.group(1)?.members.count == 1)
        #expect(hub.group(1)?.log.isEmpty == true)
        #expect(revisions(other) == [1])
    }

    /// Random publishes, rooms, joins, leaves and control frames: what arrives is whole frames in order, without a hole but for those who fell behind.
    @Test(arguments: 0..<25)
    func randomTraffic(seed: UInt64) {
        var random = SplitMix(state: seed &+ 1)
        var sockets: [(socket: FakeSocket, outlet: Outlet, from: [GroupID: Int])] = []
        var heads: [GroupID: Int] = [1: 0, 2: 10_000, 3: 20_000]
        var controls = 900_000
        for _ in 0..<600 {
            switch Int.random(in: 0..<12, using: &random) {
            case 0 where sockets.count < 6:
                let socket = FakeSocket()
                let outlet = Outlet(socket, hub: hub)
                outlet.owner = socket
                var from: [GroupID: Int] = [:]
                for (group, head) in heads where Bool.random(using: &random) {
                    hub.join(group, outlet, head: cursor(head), base: cursor(head), needsVariant: false)
                    from[group] = head
                }
                sockets.append((socket, outlet, from))
            case 1..<6:
                guard let group = heads.keys.sorted().randomElement(using: &random) else { continue }
                let count = Int.random(in: 1...5, using: &random)
                let head = heads[group] ?? 0
                heads[group] = head + count
                publish(group, Array(head + 1...head + count), size: Int.random(in: 0..<40, using: &random) == 0 ? 300_000 : 60)
            case 6..<9:
                for (socket, outlet, _) in sockets where Bool.random(using: &random) {
                    socket.drain(outlet, room: [0, 7, 500, 30_000, Int.max][Int.random(in: 0..<5, using: &random)])
                }
            case 9:
                if let (_, outlet, _) = sockets.randomElement(using: &random) {
                    controls += 1
                    outlet.send(Array("<\(controls):>".utf8))
                }
            default:
                _ = hub.sweep()
            }
        }
        sweepAll()
        for (socket, outlet, _) in sockets {
            socket.drain(outlet, room: .max)
            socket.drain(outlet, room: .max)
        }
        sweepAll()
        for (socket, _, from) in sockets {
            guard let all = revisions(socket) else {
                Issue.record("frames are mixed up, seed \(seed)")
                continue
            }
            for (group, start) in from {
                let got = all.filter { $0 / 10_000 == Int(group) - 1 && $0 < 900_000 }
                let end = socket.fellBehind.first { $0.0 == group }.map { Int($0.1.revision) } ?? heads[group] ?? 0
                #expect(got == Array(start + 1..<end + 1), "seed \(seed), group \(group)")
            }
        }
        for group in heads.keys { #expect(hub.group(group)?.log.isEmpty ?? true, "seed \(seed), group \(group)") }
    }
}
