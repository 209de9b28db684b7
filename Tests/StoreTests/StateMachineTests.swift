// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Store
import Testing

@Suite("State machines")
struct StateMachineTests {
    private let low = UUID(uuid: (0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))
    private let high = UUID(uuid: (9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))

    private func member(_ ticket: Int, _ id: UUID? = nil, bytes: Int = 10, isBulk: Bool = false) -> WriterStateMachine.Member {
        WriterStateMachine.Member(ticket: ticket, environmentID: id ?? low, byteCount: bytes, isBulk: isBulk)
    }

    private func next(_ machine: inout WriterStateMachine, without unwanted: Set<Int> = []) -> [Int]? {
        machine.nextBatch { !unwanted.contains($0.ticket) }?.map(\.ticket)
    }

    @Test("What waits goes as one batch, sorted by environment, in order of arrival within one")
    func batches() {
        var machine = WriterStateMachine()
        machine.arrived(member(1, high))
        #expect(next(&machine) == [1])
        for (ticket, id) in [(2, high), (3, low), (4, high), (5, low)] { machine.arrived(member(ticket, id)) }
        // One at a time on the connection.
        #expect(next(&machine) == nil)
        let first = machine.answered()
        #expect(first.map(\.ticket) == [1])
        #expect(next(&machine, without: [4]) == [3, 5, 2])
        #expect(machine.answered().count == 3)
        #expect(next(&machine) == nil)
    }

    @Test("A batch has limits, and bulk mutations are alone")
    func limits() {
        var machine = WriterStateMachine()
        for ticket in 1...100 { machine.arrived(member(ticket)) }
        #expect(next(&machine)?.count == WriterStateMachine.batchLimit)
        _ = machine.answered()
        #expect(next(&machine)?.count == 100 - WriterStateMachine.batchLimit)
        _ = machine.answered()
        machine.arrived(member(1, bytes: 600_000))
        machine.arrived(member(2, bytes: 600_000))
        machine.arrived(member(3, bytes: 600_000))
        machine.arrived(member(4, isBulk: true))
        machine.arrived(member(5))
        for expected in [[1, 2], [3], [4], [5]] {
            #expect(next(&machine) == expected)
            _ = machine.answered()
        }
    }

    @Test("A refused batch is sent one by one, before what arrived later")
    func refused() {
        var machine = WriterStateMachine()
        for ticket in 1...3 { machine.arrived(member(ticket)) }
        #expect(next(&machine) == [1, 2, 3])
        machine.arrived(member(4))
        #expect(machine.refused(.other) == .resend)
        #expect(next(&machine) == [1])
        _ = machine.answered()
        #expect(next(&machine) == [2])
        switch machine.refused(.other) {
        case .fail(let failed): #expect(failed.ticket == 2)
        case .resend: Issue.record("sent again for ever")
        }
        #expect(next(&machine) == [3])
        _ = machine.answered()
        #expect(next(&machine) == [4])
    }

    @Test("Deadlocks are tried again, but not for ever; an id that is there already is looked up once")
    func causes() {
        var machine = WriterStateMachine()
        machine.arrived(member(1))
        var attempts = 0
        while next(&machine) != nil {
            attempts += 1
            if machine.refused(.transient) != .resend { break }
        }
        #expect(attempts == 6)
        machine.arrived(member(2))
        #expect(machine.nextBatch { _ in true }?.map(\.retry) == [false])
        #expect(machine.refused(.alreadyCommitted) == .resend)
        #expect(machine.nextBatch { _ in true }?.map(\.retry) == [true])
        #expect(machine.refused(.alreadyCommitted) != .resend)
    }

    @Test("After a lost connection everything that was sent is looked up first")
    func lost() {
        var machine = WriterStateMachine()
        for ticket in 1...2 { machine.arrived(member(ticket)) }
        _ = next(&machine)
        machine.arrived(member(3))
        machine.lost()
        let again = [machine.nextBatch { _ in true }, machine.answered(), machine.nextBatch { _ in true }, machine.answered()]
        #expect(again.map { $0?.map(\.ticket) } == [[1], [1], [2], [2]] && again.allSatisfy { $0?.first?.retry == true })
        #expect(machine.nextBatch { _ in true }?.map(\.retry) == [false])
    }

    @Test("Who waits for a lock lets the others pass, in turn, and takes the rest of its environment along")
    func locked() {
        var machine = WriterStateMachine()
        machine.arrived(member(1, high))
        #expect(next(&machine) == [1])
        #expect(machine.refused(.locked) == .resend)
        for (ticket, id) in [(2, low), (3, high), (4, low)] { machine.arrived(member(ticket, id)) }
        var order: [[Int]] = []
        while order.count < 5, let batch = next(&machine) {
            order.append(batch)
            if batch == [1], order.count < 4 { #expect(machine.refused(.locked) == .resend) } else { _ = machine.answered() }
        }
        #expect(order.flatMap { $0 }.sorted().filter { $0 != 1 } == [2, 3, 4])
        #expect(order.contains([2, 4]) && order.contains([3]) && order.count(where: { $0 == [1] }) >= 2)
        // The lock is gone: batches as before.
        for (ticket, id) in [(5, low), (6, high)] { machine.arrived(member(ticket, id)) }
        while let batch = next(&machine), batch != [5, 6] { _ = machine.answered() }
        #expect(machine.answered().map(\.ticket) == [5, 6])
    }

    @Test("A session connects, and connects again with growing pauses")
    func session() {
        var machine = SessionStateMachine()
        #expect(machine.started() == .connect && machine.started() == .ignore)
        #expect(machine.connectFailed() == .connectAfter(.milliseconds(50)) && !machine.isReady)
        var pauses: [SessionStateMachine.LossAction] = []
        for _ in 0..<6 {
            #expect(machine.pauseEnded() == .connect)
            pauses.append(machine.connectFailed())
        }
        #expect(pauses.first == .connectAfter(.milliseconds(100)) && pauses.last == .connectAfter(.seconds(1)))
        #expect(machine.pauseEnded() == .connect && machine.connected() == .use && machine.isReady)
        // One that accepts and then fails is not tried in a spin.
        #expect(machine.lost() == .connectAfter(.seconds(1)) && machine.pauseEnded() == .connect && machine.connected() == .use)
        // A restarted server is often back at once.
        machine.answered()
        #expect(machine.lost() == .connectAfter(.zero) && machine.pauseEnded() == .connect && machine.connected() == .use)
        #expect(machine.lost() == .connectAfter(.milliseconds(50)) && machine.pauseEnded() == .connect)
        machine.closed()
        // Whatever was under way when it was closed.
        #expect(machine.connected() == .close && machine.connectFailed() == .ignore && machine.lost() == .ignore)
        #expect(machine.pauseEnded() == .ignore && machine.isClosed && !machine.isReady)
    }
}
