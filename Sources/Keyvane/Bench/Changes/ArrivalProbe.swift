// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Reactor

/// Notes when each message of the change channel reached its subscribers. It is one of them itself, and the kernel stamps what arrives, so
/// that its place on a busy core doesn't matter. Confined to the fleet's loop.
final class ArrivalProbe {
    /// `SO_TIMESTAMPNS`, whose control message carries the same number.
    private static let timestampOption: Int32 = 35
    private static let revision = [UInt8](#""revision":"#.utf8)

    private let stamps: PublishStamps
    private let descriptor: Int32
    private var poll: PollHandle?
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 * 1024, alignment: 16)
    private let control = UnsafeMutableRawBufferPointer.allocate(byteCount: 128, alignment: 16)

    init(port: UInt16, channel: String, _ stamps: PublishStamps, on loop: Loop) throws {
        self.stamps = stamps
        descriptor = LoopbackSocket.connect(port: port, isBlocking: true)
        var isOn: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, Self.timestampOption, &isOn, socklen_t(MemoryLayout<Int32>.size))
        LoopbackSocket.send([UInt8]("SUBSCRIBE \(channel)\r\n".utf8), on: descriptor)
        poll = try PollHandle(descriptor: descriptor, on: loop) { [unowned self] _ in becameReadable() }
        poll?.watch(.readable)
    }

    deinit {
        buffer.deallocate()
        control.deallocate()
    }

    func close() {
        poll?.close()
        poll = nil
        _ = Glibc.close(descriptor)
    }

    private func becameReadable() {
        var part = iovec(iov_base: buffer.baseAddress, iov_len: buffer.count)
        var header = msghdr()
        header.msg_iovlen = 1
        header.msg_control = control.baseAddress
        header.msg_controllen = control.count
        let count = withUnsafeMutablePointer(to: &part) { part in
            header.msg_iov = part
            return recvmsg(descriptor, &header, Int32(MSG_DONTWAIT))
        }
        guard count > 0 else { return }
        // A length of 8 bytes, a level, a type, then seconds and nanoseconds since 1970 (struct cmsghdr, struct timespec).
        guard header.msg_controllen >= 32, control.load(fromByteOffset: 12, as: Int32.self) == Self.timestampOption else { return }
        let (seconds, nanoseconds) = (control.load(fromByteOffset: 16, as: Int64.self), control.load(fromByteOffset: 24, as: Int64.self))
        let age = Date().timeIntervalSince1970 - Double(seconds) - Double(nanoseconds) / 1e9
        note(UnsafeRawBufferPointer(rebasing: buffer[..<count]), at: BenchClock.microseconds - UInt64(max(0, age) * 1e6))
    }

    /// A message that is cut by the read's end has no stamp, and its deliveries are left out.
    private func note(_ bytes: UnsafeRawBufferPointer, at time: UInt64) {
        var rest = bytes[...]
        while let found = rest.firstRange(of: Self.revision) {
            rest = rest[found.upperBound...]
            let digits = rest.prefix { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
            guard digits.endIndex < rest.endIndex else { return }
            stamps.note(UInt32(truncatingIfNeeded: digits.reduce(Int64(0)) { $0 * 10 + Int64($1 - UInt8(ascii: "0")) }), at: time)
        }
    }
}
