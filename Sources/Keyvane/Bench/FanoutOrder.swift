// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Reactor

/// What the script asks for with one line.
enum FanoutOrder {
    case open(Int)
    case run(LoadRun.Load, seconds: Double)
    case failover(pid: Int32, ports: [UInt16], target: String)

    init(parsing line: String) throws {
        let words = line.split(separator: " ", maxSplits: 3).map(String.init)
        switch (words.first, words.count) {
        case ("open", 2):
            guard let count = Int(words[1]), count > 0 else { throw Self.fault(line) }
            self = .open(count)
        case ("closed", 3), ("lockstep", 3):
            guard let inFlight = Int(words[1]), inFlight > 0 else { throw Self.fault(line) }
            self = try .run(.closed(inFlight: inFlight, isLockstep: words[0] == "lockstep"), seconds: Self.seconds(words, line))
        case ("paced", 3):
            guard let rate = Double(words[1]), rate > 0 else { throw Self.fault(line) }
            self = try .run(.paced(perSecond: rate), seconds: Self.seconds(words, line))
        case ("failover", 4):
            let ports = words[2].split(separator: ",").compactMap { UInt16($0) }
            guard let pid = Int32(words[1]), pid > 1, !ports.isEmpty else { throw Self.fault(line) }
            self = .failover(pid: pid, ports: ports, target: words[3])
        default:
            throw Self.fault(line)
        }
    }

    private static func seconds(_ words: [String], _ line: String) throws -> Double {
        guard let seconds = Double(words[2]), seconds > 0 else { throw fault(line) }
        return seconds
    }

    private static func fault(_ line: String) -> RunError {
        RunError("'\(line)' is no order: see keyvane bench fanout --help")
    }
}

/// Orders from standard input, line by line, without holding a thread. Confined to its loop.
final class OrderReader {
    private let poll: PollHandle
    private var rest: [UInt8] = []
    private let received: (String?) -> Void

    /// `received` gets each line, and nil at the end.
    init(on loop: Loop, _ received: @escaping (String?) -> Void) throws {
        self.received = received
        _ = fcntl(STDIN_FILENO, F_SETFL, fcntl(STDIN_FILENO, F_GETFL) | O_NONBLOCK)
        let hear = Hearing()
        poll = try PollHandle(descriptor: STDIN_FILENO, on: loop) { _ in hear.reader?.becameReadable() }
        hear.reader = self
        poll.watch(.readable)
    }

    /// The poll exists before the reader is whole.
    private final class Hearing {
        weak var reader: OrderReader?
    }

    func close() {
        poll.close()
    }

    private func becameReadable() {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = read(STDIN_FILENO, &buffer, buffer.count)
        guard count != 0 else {
            close()
            received(nil)
            return
        }
        guard count > 0 else { return }
        rest += buffer[..<count]
        while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
            received(String(decoding: rest[..<end], as: UTF8.self))
            rest.removeSubrange(...end)
        }
    }
}
