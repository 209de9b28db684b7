// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Gateway
import Notifier
import Store
import Testing

/// The book against a model that keeps for each watcher every frame it has not answered yet.
@Suite struct LedgerModelTests {
    private struct Model {
        var applied: Int64 = 0
        var open: [(revision: Int64, before: Int64)] = []
        var sent: Int64

        mutating func frame(_ revision: Int64, before: Int64) {
            if open.isEmpty { applied = max(applied, before) }
            open.append((revision, before))
            sent = revision
        }

        mutating func moved(to head: Int64) {
            if open.isEmpty { applied = head }
        }

        mutating func acknowledged(_ revision: Int64, head: Int64) {
            guard revision > applied || open.contains(where: { $0.revision <= revision }) else { return }
            open.removeAll { $0.revision <= revision }
            applied = max(applied, revision, open.first?.before ?? head)
        }
    }

    @Test(arguments: 0..<200)
    func agreesWithTheModel(seed: UInt64) {
        var random = Generator(state: seed &* 0x9E37_79B9_7F4A_7C15 &+ 1)
        var book = EnvironmentBook()
        var models: [UInt32: Model] = [:]
        var head: Int64 = 10
        var next: UInt32 = 1
        for _ in 0..<120 {
            switch Int.random(in: 0..<10, using: &random) {
            case 0, 1:
                guard models.count < 12 else { break }
                _ = book.enroll(next, from: .uncounted, to: .acknowledging, isNew: true)
                _ = book.joined(next, 1, sent: head)
                models[next] = Model(open: [(head, 0)], sent: head)
                next += 1
            case 2:
                guard let gone = models.keys.sorted().randomElement(using: &random) else { break }
                _ = book.dismiss(gone, from: .acknowledging)
                models[gone] = nil
            case 3, 4:
                head += Int64.random(in: 1...3, using: &random)
                _ = book.published(Publication(group: 1, frames: [], head: Cursor(revision: head, mark: 0)))
                for connection in models.keys { models[connection]?.moved(to: head) }
            case 5, 6:
                var frames: [EncodedFrame] = []
                for _ in 0..<Int.random(in: 1...2, using: &random) {
                    let before = head
                    head += Int64.random(in: 1...3, using: &random)
                    frames.append(EncodedFrame(bytes: [], cursor: Cursor(revision: head, mark: 0), changes: 1, committedAt: 0))
                    for connection in models.keys { models[connection]?.frame(head, before: before) }
                }
                _ = book.published(Publication(group: 1, frames: frames, head: Cursor(revision: head, mark: 0)))
            default:
                guard let connection = models.keys.sorted().randomElement(using: &random), let model = models[connection],
                    let frame = model.open.randomElement(using: &random)
                else { break }
                let word = Acknowledgement(revision: frame.revision, status: .applied, message: nil)
                #expect(book.acknowledged(word, by: connection, sent: model.sent) != .beyond)
                models[connection]?.acknowledged(frame.revision, head: head)
            }
            var expected: [Int64: Int] = [:]
            for model in models.values { expected[model.applied, default: 0] += 1 }
            let record = WatcherRecord(gateway: "g", book.tally { "c-\($0)" })
            let found = Dictionary(uniqueKeysWithValues: record.applied.map { ($0.revision, $0.watchers) })
            #expect(found == expected)
        }
    }

    private struct Generator: RandomNumberGenerator {
        var state: UInt64

        /// SplitMix64: the same run for the same seed.
        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var word = state
            word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
            word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
            return word ^ (word >> 31)
        }
    }
}
