// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Notifier
import Synchronization
import Testing
import Wire

@Suite("Commands waiting for their answers")
struct CommandQueueTests {
    @Test("are answered in their order, groups as a whole")
    func order() {
        var queue = CommandQueue()
        var seen: [String] = []
        queue.sent(1) { seen.append("a \($0.values)") }
        queue.sent(1, nil)
        queue.sent(3) { seen.append("b \($0.values)") }
        let wanted = (1...5).map { queue.answered(.integer(Int64($0))) }
        #expect(seen == ["a [1]", "b [3, 4, 5]"])
        let unwanted = queue.answered(.integer(6))
        #expect(!wanted.contains(false) && !unwanted)
    }

    @Test("fail together, once, half-answered ones too")
    func failure() {
        var queue = CommandQueue()
        var failures = 0
        for _ in 0..<3 {
            queue.sent(2) { if case .failure = $0 { failures += 1 } }
        }
        let wanted = queue.answered(.null)
        queue.fail(NotifierError(.away, "gone"))
        #expect(failures == 3)
        queue.fail(NotifierError(.away, "gone"))
        let unwanted = queue.answered(.null)
        #expect(failures == 3)
        #expect(wanted && !unwanted)
    }

    @Test("stay in order over many rounds of sending and answering")
    func rounds() {
        var queue = CommandQueue()
        var next: Int64 = 0
        var answered: Int64 = 0
        var seen: [Int64] = []
        for round in 0..<500 {
            for _ in 0..<(round % 7) {
                let expected = next
                next += 1
                queue.sent(1) { if $0.values == [expected] { seen.append(expected) } }
            }
            for _ in 0..<(round % 5) where answered < next {
                _ = queue.answered(.integer(answered))
                answered += 1
            }
        }
        while answered < next {
            _ = queue.answered(.integer(answered))
            answered += 1
        }
        #expect(seen == Array(0..<next))
    }
}

extension Result<[RESPValue], NotifierError> {
    fileprivate var values: [Int64] {
        guard case .success(let replies) = self else { return [] }
        return replies.compactMap(\.integer)
    }
}
