// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Gateway
import Store
import Testing

@Suite struct FeedGroupTests {
    /// What a client sees of one frame.
    private struct Frame: Decodable {
        struct Item: Decodable {
            let op: String?
            let name: String
            let value: String?
            let revision: Int64
        }
        let type: String
        let previousRevision: Int64?
        let revision: Int64
        let cursor: String
        let entries: [Item]?
        let changes: [Item]?
    }

    private static var encoder: FrameEncoder {
        FrameEncoder(environment: "acme/web/production", id: "5b1f0c1e-6d0e-4f5c-9a57-3c1f2d7e8a90", deflater: nil)
    }

    private func group(_ head: Cursor, names: [String]? = nil, secrets: Bool = true) -> FeedGroup {
        FeedGroup(
            id: 1,
            key: FeedGroup.Key(
                visibility: Visibility(variables: .everything, secrets: secrets ? .everything : .none),
                names: names.map { NameSet($0.compactMap(NameGlob.init)) } ?? .everything
            ),
            loops: 2,
            head: head,
            encoder: Self.encoder,
            open: { _, _, sealed in String(sealed.dropFirst(7)) }
        )
    }

    private func frames(_ bytes: [UInt8]) throws -> [Frame] {
        try textMessages(bytes).map { try JSONDecoder().decode(Frame.self, from: Data($0)) }
    }

    @Test func encodesTheVisibleOnly() throws {
        var log = FeedLog()
        log.commit([("A", "1")])
        let group = group(log.head, secrets: false)
        let public1 = log.commit([("B", "2")])
        let secret = log.commit([("S", "hidden")], kind: .secret)
        let publication = try group.publication(of: public1 + secret, leadingTo: log.head)
        let frame = try #require(try frames(publication.frames[0].bytes).first)
        #expect(publication.frames.count == 1)
        #expect(frame.previousRevision == 1)
        #expect(frame.revision == 3)
        #expect(frame.changes?.map(\.name) == ["B"])
        let next = log.commit([("S", "other")], kind: .secret)
        let silent = try group.publication(of: next, leadingTo: log.head)
        #expect(silent.frames.isEmpty)
        #expect(silent.head == log.head)
    }

    @Test func opensSecretsForThoseWhoMayReadThem() throws {
        var log = FeedLog()
        log.commit([("S", "pass\"word")], kind: .secret)
        let start = try group(log.head).start(with: log.content, at: 0)
        let frame = try #require(try frames(start.bytes).first)
        #expect(frame.entries?.map(\.value) == ["pass\"word"])
        let without = try group(log.head, secrets: false).start(with: log.content, at: 0)
        #expect(try frames(without.bytes)[0].entries?.isEmpty == true)
    }

    @Test func aSecretThatCannotBeOpenedIsAnError() {
        struct Broken: Error {}
        var log = FeedLog()
        log.commit([("S", "x")], kind: .secret)
        let key = FeedGroup.Key(visibility: .everything, names: .everything)
        let group = FeedGroup(id: 1, key: key, loops: 1, head: log.head, encoder: Self.encoder, open: { _, _, _ in throw Broken() })
        let start = Result { try group.start(with: log.content, at: 0) }
        let publication = Result { try group.publication(of: log.changes, leadingTo: log.head) }
        for failed in [(try? start.get()) == nil, (try? publication.get()) == nil] { #expect(failed) }
    }

    @Test func conflatesToTheNewestOfEachName() throws {
        var log = FeedLog()
        log.commit([("A", "0"), ("B", "0"), ("C", "0")])
        var content = log.content
        for round in 1...50 { log.commit([("A", "\(round)")]) }
        log.commit([("B", nil)])
        content = log.content
        content.remember(log.changes)
        let start = try #require(try group(log.head).start(since: 3, isConflated: true, in: content, at: 0))
        let frame = try #require(try frames(start.bytes).first)
        #expect(frame.type == "changes")
        #expect(frame.previousRevision == 3)
        #expect(frame.revision == 54)
        #expect(frame.changes?.map(\.name) == ["A", "B"])
        #expect(frame.changes?.map(\.op) == ["set", "delete"])
        #expect(frame.changes?.first?.value == "50")
    }

    @Test func conflationTakesTheShorterOfBoth() throws {
        var log = FeedLog()
        log.commit([("KEEP", "0")])
        for round in 0..<200 { log.commit([("K\(round)", String(repeating: "x", count: 100)), ("K\(round)", nil)]) }
        var content = log.content
        content.remember(log.changes)
        let start = try #require(try group(log.head).start(since: 1, isConflated: true, in: content, at: 0))
        #expect(try frames(start.bytes)[0].type == "snapshot")
    }

    @Test func cutsLargePublicationsBehindTransactions() throws {
        var log = FeedLog()
        let group = group(log.head)
        let big = String(repeating: "v", count: 60_000)
        for round in 0..<10 { log.commit((0..<5).map { ("K\(round)_\($0)", big) }) }
        let publication = try group.publication(of: log.changes, leadingTo: log.head)
        #expect(publication.frames.count > 1)
        var revision: Int64 = 0
        var names: [String] = []
        for encoded in publication.frames {
            let frame = try #require(try frames(encoded.bytes).first)
            #expect(frame.previousRevision == revision)
            #expect(frame.revision % 5 == 0)
            #expect(encoded.cursor.revision == frame.revision)
            #expect(encoded.bytes.count < FrameEncoder.changesLimit + 350_000)
            revision = frame.revision
            names += frame.changes?.map(\.name) ?? []
        }
        #expect(revision == log.head.revision)
        #expect(names == log.changes.map(\.name))
    }

    /// Regression: where a transaction ended with something invisible, a frame that was cut behind it told a revision inside of it.
    @Test(arguments: [true, false])
    func cutFramesEndWhereTransactionsDo(isResumed: Bool) throws {
        var log = FeedLog()
        let group = group(log.head, names: ["V*"])
        let start = log.head
        let big = String(repeating: "v", count: 60_000)
        for round in 0..<60 { log.commit([("V\(round)", big), ("HIDDEN", "\(round)")]) }
        let bytes: [UInt8]
        if isResumed {
            var content = log.content
            content.remember(log.changes)
            bytes = try #require(try group.start(since: start.revision, isConflated: false, in: content, at: 0)).bytes
        } else {
            bytes = try group.publication(of: log.changes, leadingTo: log.head).frames.flatMap(\.bytes)
        }
        let cut = try frames(bytes)
        #expect(cut.count > 2)
        for frame in cut {
            let end = try #require(log.changes.first { $0.revision == frame.revision })
            #expect(end.revision == end.last)
            #expect(frame.cursor == end.cursor.description)
        }
    }

    /// Watchers with a filter start and come back at any time: each one's `previousRevision` is always the `revision` of its frame before,
    /// and its values are always those of the log.
    @Test(arguments: 0..<60)
    func everyWatcherSeesAnUnbrokenChain(seed: UInt64) throws {
        struct Watcher {
            var revision: Int64
            var values: [String: String]
            var variantBase: Int64?
        }
        var random = SplitMix(state: seed)
        var log = FeedLog(seed: UInt32(seed) + 1)
        log.commit([("VISIBLE_1", "0"), ("HIDDEN", "0")])
        let group = group(log.head, names: ["VISIBLE_*"])
        var watchers: [Watcher] = []
        func visible() -> [String: String] {
            log.entries.filter { $0.key.hasPrefix("VISIBLE_") }.mapValues(\.value.text)
        }
        func apply(_ bytes: [UInt8], to watcher: inout Watcher) throws {
            for frame in try frames(bytes) {
                if let entries = frame.entries {
                    watcher.values = Dictionary(entries.map { ($0.name, $0.value ?? "") }) { $1 }
                } else {
                    #expect(frame.previousRevision == watcher.revision)
                    for change in frame.changes ?? [] { watcher.values[change.name] = change.value }
                }
                watcher.revision = frame.revision
            }
        }
        for round in 0..<80 {
            var content = log.content
            content.remember(log.changes)
            switch Int.random(in: 0..<6, using: &random) {
            case 0:
                let start = try group.start(with: content, at: 0)
                var watcher = Watcher(revision: -1, values: [:])
                try apply(start.bytes, to: &watcher)
                watcher.variantBase = start.needsVariant ? start.cursor.revision : nil
                watchers.append(watcher)
            case 1 where !watchers.isEmpty:
                // Comes back from where it was, or from a heartbeat's later head.
                let index = Int.random(in: watchers.indices, using: &random)
                if Bool.random(using: &random) { watchers[index].revision = log.head.revision }
                let since = watchers[index].revision
                let start = try #require(try group.start(since: since, isConflated: Bool.random(using: &random), in: content, at: 0))
                try apply(start.bytes, to: &watchers[index])
                watchers[index].variantBase = start.needsVariant ? start.cursor.revision : nil
            default:
                let name = Bool.random(using: &random) ? "HIDDEN" : "VISIBLE_\(Int.random(in: 0..<4, using: &random))"
                let made = log.commit([(name, Bool.random(using: &random) ? "\(round)" : nil), ("HIDDEN", "\(round)")])
                let publication = try group.publication(of: made, leadingTo: log.head)
                for index in watchers.indices {
                    for (number, frame) in publication.frames.enumerated() {
                        let variant = number == 0 ? watchers[index].variantBase.flatMap { publication.variants[$0] } : nil
                        try apply(variant ?? frame.bytes, to: &watchers[index])
                    }
                    if !publication.frames.isEmpty { watchers[index].variantBase = nil }
                }
            }
            for watcher in watchers { #expect(watcher.values == visible(), "seed \(seed), round \(round)") }
        }
    }
}

/// The payloads of whole, unmasked text frames.
func textMessages(_ bytes: [UInt8]) -> [[UInt8]] {
    var messages: [[UInt8]] = []
    var rest = bytes[...]
    while rest.count >= 2 {
        let start = rest.startIndex
        let short = Int(rest[start + 1])
        let width = short < 126 ? 0 : short == 126 ? 2 : 8
        let length = width == 0 ? short : rest[(start + 2)..<(start + 2 + width)].reduce(0) { $0 << 8 | Int($1) }
        let payload = rest[(start + 2 + width)..<(start + 2 + width + length)]
        if rest[start] == 0x81 { messages.append(Array(payload)) }
        rest = rest[payload.endIndex...]
    }
    return messages
}
