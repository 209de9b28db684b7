// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Reactor

/// One watching socket: as little of a client as can be, so that the server is what is measured. Confined to the fleet's loop.
final class FleetSocket {
    private enum Phase {
        case connecting
        /// The request went out.
        case asked
        /// The first message went out.
        case introduced
        case subscribed
        case closed
    }

    let channel: Int
    private let number: Int
    private unowned let fleet: SocketFleet
    private var phase = Phase.closed
    private var descriptor: Int32 = -1
    private var poll: PollHandle?
    private var head: [UInt8] = []
    /// What the server said before it had subscribed us.
    private var received: [UInt8] = []

    init(number: Int, channel: Int, in fleet: SocketFleet) {
        self.number = number
        self.channel = channel
        self.fleet = fleet
    }

    var answer: String { String(decoding: received.prefix(300), as: UTF8.self) }

    func connect(port: UInt16, head: [UInt8]) {
        self.head = head
        received = []
        phase = .connecting
        descriptor = LoopbackSocket.connect(port: port)
        poll = try? PollHandle(descriptor: descriptor, on: fleet.loop) { [unowned self] events in ready(events) }
        poll?.watch(.writable)
    }

    private func ready(_ events: PollEvents) {
        if phase == .connecting {
            poll?.watch(.readable)
            LoopbackSocket.send(head, on: descriptor)
            head = []
            phase = .asked
            return
        }
        let isOpen = fleet.read(descriptor) { bytes in
            if phase == .subscribed { fleet.received(bytes, on: number, of: channel) } else { handshake(bytes) }
        }
        guard !isOpen else { return }
        let wasSubscribed = phase == .subscribed
        close()
        fleet.closed(self, wasSubscribed: wasSubscribed)
    }

    private func handshake(_ bytes: UnsafeRawBufferPointer) {
        received += bytes
        if phase == .asked, let first = fleet.request.firstMessage(channel: channel) {
            guard Self.contains("\r\n\r\n", in: received) else { return }
            LoopbackSocket.send(first, on: descriptor)
            phase = .introduced
        }
        guard Self.contains(fleet.request.ready, in: received) else { return }
        guard received.starts(with: "HTTP/1.1 101".utf8) else {
            BenchExit.fail("the server refuses: \(answer)")
        }
        phase = .subscribed
        // A resumed watch may have brought its changes already.
        received.withUnsafeBytes { fleet.received($0, on: number, of: channel) }
        received = []
        fleet.subscribed(self)
    }

    private static func contains(_ text: String, in bytes: [UInt8]) -> Bool {
        let needle = Array(text.utf8)
        return bytes.withUnsafeBytes { bytes in
            needle.withUnsafeBytes { needle in
                guard var position = bytes.baseAddress, let wanted = needle.baseAddress else { return needle.isEmpty }
                let end = position + bytes.count
                while end - position >= needle.count, let hit = memchr(position, Int32(needle[0]), end - position - needle.count + 1) {
                    if memcmp(hit, wanted, needle.count) == 0 { return true }
                    position = UnsafeRawPointer(hit) + 1
                }
                return false
            }
        }
    }

    func close() {
        guard phase != .closed else { return }
        phase = .closed
        poll?.close()
        poll = nil
        _ = Glibc.close(descriptor)
        descriptor = -1
    }
}
