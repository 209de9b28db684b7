// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Gateway
import Store
import Testing

@Suite struct TokenLogStateMachineTests {
    private static func place(_ sequence: Int64, mark: UInt32 = 7) -> TokenLogPlace {
        TokenLogPlace(sequence: sequence, mark: mark)
    }

    private static func page(_ place: TokenLogPlace, isWhole: Bool = true, hasMore: Bool = false) -> TokenEventPage {
        TokenEventPage(events: [], place: place, isWhole: isWhole, hasMore: hasMore)
    }

    /// Knows the log up to a number, and has nothing to do.
    private static func settled(at sequence: Int64) -> TokenLogStateMachine {
        var machine = TokenLogStateMachine()
        #expect(machine.swept(isAnybodyThere: false) == .read(after: nil))
        #expect(machine.read(page(place(sequence), isWhole: false)) == .rest)
        #expect(machine.rested() == .lookUpAll)
        #expect(machine.lookedUp(unanswered: []) == .none)
        return machine
    }

    @Test func oneReadASweepAndNoneForNobody() {
        var machine = Self.settled(at: 5)
        #expect(machine.swept(isAnybodyThere: false) == .none)
        for _ in 0..<3 {
            #expect(machine.swept(isAnybodyThere: true) == .read(after: Self.place(5)))
            #expect(machine.read(Self.page(Self.place(5))) == .rest)
            #expect(machine.rested() == .none)
        }
    }

    @Test func whileAReadIsUnderWayEverythingElseIsOneMore() {
        var machine = Self.settled(at: 5)
        #expect(machine.swept(isAnybodyThere: true) == .read(after: Self.place(5)))
        #expect(machine.asked() == .none)
        #expect(machine.swept(isAnybodyThere: true) == .none)
        #expect(machine.suspected(["a"]) == .none)
        #expect(machine.read(Self.page(Self.place(6))) == .rest)
        // A moment's rest, however often somebody rings.
        for _ in 0..<100 { #expect(machine.asked() == .none) }
        #expect(machine.rested() == .read(after: Self.place(6)))
        #expect(machine.read(Self.page(Self.place(6))) == .rest)
        #expect(machine.rested() == .lookUp(["a"]))
        #expect(machine.asked() == .none)
        #expect(machine.lookedUp(unanswered: []) == .read(after: Self.place(6)))
    }

    @Test func longLogsComePageByPage() {
        var machine = Self.settled(at: 0)
        #expect(machine.swept(isAnybodyThere: true) == .read(after: Self.place(0)))
        #expect(machine.read(Self.page(Self.place(500), hasMore: true)) == .read(after: Self.place(500)))
        #expect(machine.read(Self.page(Self.place(700))) == .rest)
        #expect(machine.rested() == .none)
    }

    @Test func aMissingNumberIsReadAtOnce() {
        var machine = Self.settled(at: 5)
        #expect(machine.announced(6) == .none)
        #expect(machine.announced(7) == .none)
        // 8 was lost.
        #expect(machine.announced(9) == .read(after: Self.place(5)))
        #expect(machine.read(Self.page(Self.place(9))) == .rest)
        #expect(machine.rested() == .none)
        #expect(machine.announced(10) == .none)
        // The other way round: the first one looks like a gap, the second like another history.
        #expect(machine.announced(12) == .read(after: Self.place(9)))
        #expect(machine.announced(11) == .none)
        #expect(machine.read(Self.page(Self.place(12))) == .rest)
        #expect(machine.rested() == .read(after: Self.place(12)))
        #expect(machine.read(Self.page(Self.place(12))) == .rest)
        #expect(machine.rested() == .none)
        // Of a process that knows no numbers.
        #expect(machine.announced(nil) == .none)
    }

    /// Trimmed too far, or restored: the page says only that it isn't whole.
    @Test func whatTheLogCannotTellIsLookedUp() {
        var machine = Self.settled(at: 50)
        #expect(machine.swept(isAnybodyThere: true) == .read(after: Self.place(50)))
        #expect(machine.suspected(["a"]) == .none)
        #expect(machine.read(Self.page(Self.place(12, mark: 8), isWhole: false)) == .rest)
        // It goes on from there, and numbers from before the restoration count no more.
        #expect(machine.rested() == .lookUpAll)
        #expect(machine.lookedUp(unanswered: ["b"]) == .none)
        #expect(machine.announced(13) == .none)
        #expect(machine.swept(isAnybodyThere: true) == .read(after: Self.place(12, mark: 8)))
        #expect(machine.read(Self.page(Self.place(13))) == .rest)
        // Nobody answered for it; `a` was among all of them.
        #expect(machine.rested() == .lookUp(["b"]))
    }

    @Test func aFailedReadIsDoneAgainWithTheNextSweep() {
        var machine = TokenLogStateMachine()
        for _ in 0..<3 {
            #expect(machine.swept(isAnybodyThere: false) == .read(after: nil))
            #expect(machine.readFailed() == .rest)
            #expect(machine.rested() == .none)
        }
        machine = Self.settled(at: 5)
        #expect(machine.asked() == .read(after: Self.place(5)))
        #expect(machine.readFailed() == .rest)
        #expect(machine.rested() == .none)
        #expect(machine.swept(isAnybodyThere: true) == .read(after: Self.place(5)))
    }
}
