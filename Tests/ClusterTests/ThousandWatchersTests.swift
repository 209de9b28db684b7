// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor
import TestSupport
import Testing

extension ClusterSuite {
    @Suite struct ThousandWatchersTests {
        private static let watchers = 1_000
        private static let changes = 1_000

        /// Eight writers on both APIs, through the balancer; watchers on every gateway, half of them through the balancer.
        @Test func eachOfThemSeesEveryChangeOnceAndInOrder() async throws {
            try await withCluster { cluster in
                _ = try await cluster.createEnvironment()
                let state = try cluster.state
                let rest = try cluster.rest
                try await LoopGroup.withLoops(count: 1) { group in
                    let loop = group.loops[0]
                    let target = "/v1/watch?environment=\(Cluster.environmentPath)"
                    let (started, finished) = (Events<Int>(), Events<WatchLedger>())
                    for number in 0..<Self.watchers {
                        let port = number.isMultiple(of: 2) ? rest.port : state.gateways[number / 2 % state.gateways.count].port
                        let connection = try await WebSocketClient.open(port: port, on: loop)
                        try await loop.run {
                            var ledger = WatchLedger(goal: Self.changes)
                            connection.value.received = { bytes in
                                switch ledger.received(bytes) {
                                case .started: started.emit(number)
                                case .ended: finished.emit(ledger)
                                case .counted: break
                                }
                            }
                            connection.value.ended = { end in
                                ledger.fault("the connection ended: \(end)")
                                finished.emit(ledger)
                            }
                            connection.value.start(target: target, fields: [("Authorization", "Bearer \(state.token)")])
                        }
                    }
                    try await started.until(within: .seconds(60), "a snapshot on every socket") { $0.count == Self.watchers }
                    try await withThrowingTaskGroup(of: Void.self) { writers in
                        for writer in 0..<8 {
                            writers.addTask {
                                for number in 0..<(Self.changes / 8) { try await cluster.put("KEY_\(writer)", "value \(number)") }
                            }
                        }
                        try await writers.waitForAll()
                    }
                    let ledgers = try await finished.until(within: .seconds(120), "the last change on every socket") {
                        $0.count >= Self.watchers
                    }
                    #expect(ledgers.count == Self.watchers)
                    #expect(ledgers.compactMap(\.fault).isEmpty, "\(ledgers.compactMap(\.fault).first ?? "")")
                    #expect(ledgers.allSatisfy { $0.head == Self.changes && $0.seen == Self.changes })
                }
            }
        }
    }
}

/// What one watcher has seen; says at once when a frame does not follow the one before.
struct WatchLedger: Sendable {
    enum Outcome {
        case started
        case counted
        case ended
    }

    private(set) var head = -1
    private(set) var seen = 0
    private(set) var fault: String?
    private let goal: Int

    init(goal: Int) { self.goal = goal }

    mutating func fault(_ text: String) {
        fault = fault ?? text
    }

    mutating func received(_ bytes: Span<UInt8>) -> Outcome {
        let previous = numbers(after: "\"previousRevision\":", in: bytes)
        let revisions = numbers(after: "\"revision\":", in: bytes)
        guard let frame = revisions.first else { return .counted }
        guard let from = previous.first else {
            // The only other frame with a revision is a snapshot.
            if head >= 0 { fault("a second snapshot") }
            head = frame
            return .started
        }
        if from != head { fault("a frame from \(from) came at \(head)") }
        for revision in revisions.dropFirst() {
            if revision != head + 1 { fault("revision \(revision) came after \(head)") }
            head = revision
            seen += 1
        }
        if head != frame { fault("a frame to \(frame) ended at \(head)") }
        return head >= goal ? .ended : .counted
    }

    /// The whole numbers that follow each occurrence of `key`.
    private func numbers(after key: StaticString, in bytes: Span<UInt8>) -> [Int] {
        var found: [Int] = []
        let length = key.utf8CodeUnitCount
        var position = 0
        while position + length < bytes.count {
            var matched = 0
            while matched < length, bytes[position + matched] == key.utf8Start[matched] { matched += 1 }
            guard matched == length else {
                position += 1
                continue
            }
            position += length
            var number = 0
            while position < bytes.count, case let digit = bytes[position], (48...57).contains(digit) {
                number = number * 10 + Int(digit) - 48
                position += 1
            }
            found.append(number)
        }
        return found
    }
}
