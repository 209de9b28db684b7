// Keyvane
// SPDX-License-Identifier: Apache-2.0

import CZlib

/// Messages compressed each on its own (RFC 7692 with `server_no_context_takeover`), so that one payload serves every socket.
/// Owned by the loop that encodes, which keeps one: the state takes 256 KB. Of use to one caller at a time.
package final class Deflater {
    /// 1 is the fastest, 9 the smallest.
    package static let defaultLevel: Int32 = 6
    /// What a sync flush ends with, and RFC 7692 section 7.2.1 leaves out.
    static let tail: [UInt8] = [0x00, 0x00, 0xFF, 0xFF]

    private static let step = 16 * 1024

    /// zlib's state points back to it, so it stays at one address.
    private let stream: UnsafeMutablePointer<z_stream>
    private let room: UnsafeMutableBufferPointer<UInt8>

    /// nil where there is no memory for it, or no such level.
    package init?(level: Int32 = Deflater.defaultLevel) {
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        room = .allocate(capacity: Self.step)
        // A class is deinitialised even where its initialiser gives up here, and zlib ignores a stream that it never began.
        guard czlib_deflate_init(stream, level) == Z_OK else { return nil }
    }

    deinit {
        deflateEnd(stream)
        stream.deallocate()
        room.deallocate()
    }

    /// The payload of a compressed message, for as many sockets as want it.
    package func compress(_ message: Span<UInt8>) -> [UInt8] {
        message.withUnsafeBufferPointer { compress($0) }
    }

    /// A whole message in one frame.
    package func appendFrame(_ opcode: WebSocketOpcode, _ message: Span<UInt8>, mask: UInt32? = nil, to out: inout [UInt8]) {
        WebSocketFrame.append(opcode, compress(message), isCompressed: true, mask: mask, to: &out)
    }

    private func compress(_ message: UnsafeBufferPointer<UInt8>) -> [UInt8] {
        deflateReset(stream)
        // zlib only reads through `next_in`; its type comes from C's old habits.
        stream.pointee.next_in = message.baseAddress.map { UnsafeMutablePointer(mutating: $0) }
        stream.pointee.avail_in = UInt32(message.count)
        var payload: [UInt8] = []
        payload.reserveCapacity(message.count / 2 + 64)
        repeat {
            stream.pointee.next_out = room.baseAddress
            stream.pointee.avail_out = UInt32(room.count)
            // It has no other result than Z_OK, and Z_BUF_ERROR where the flush was complete already.
            _ = deflate(stream, Z_SYNC_FLUSH)
            payload.append(contentsOf: room[..<(room.count - Int(stream.pointee.avail_out))])
        } while stream.pointee.avail_out == 0
        payload.removeLast(Self.tail.count)
        return payload
    }
}
