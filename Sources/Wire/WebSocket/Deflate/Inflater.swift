// Keyvane
// SPDX-License-Identifier: Apache-2.0

import CZlib

/// One compressed message in, its bytes out (RFC 7692 section 7.2.2). Made for the message and gone with it: an idle connection owns
/// none of zlib's 40 KB, and `client_no_context_takeover` gives the next message nothing to remember.
enum Inflater {
    private static let step = 16 * 1024

    /// Never makes more than `limit` bytes, however small the message that would (`.messageTooBig`).
    static func message(from compressed: UnsafeBufferPointer<UInt8>, limit: Int) throws(WebSocketFault) -> [UInt8] {
        // A compressor that flushes nothing may send nothing.
        guard !compressed.isEmpty else { return [] }
        var stream = z_stream()
        // zlib's state points back to the stream, so all of its life is in this closure.
        return try withUnsafeMutablePointer(to: &stream) { (stream) throws(WebSocketFault) in
            guard czlib_inflate_init(stream) == Z_OK else { throw .badDeflate }
            defer { inflateEnd(stream) }
            var out: [UInt8] = []
            out.reserveCapacity(min(limit, compressed.count * 2 + 64))
            // A peer that ends its message with a final block has said all; an empty flush is due behind every other one.
            if try add(compressed, to: &out, limit, stream) { return out }
            let ended = try Deflater.tail.withUnsafeBufferPointer { (tail) throws(WebSocketFault) in
                try add(tail, to: &out, limit, stream)
            }
            // At the border of two blocks, with no bit left over: only a whole message gets there.
            guard !ended, stream.pointee.data_type == Border.betweenBlocks else { throw .badDeflate }
            return out
        }
    }

    /// `data_type` as zlib.h describes it for `inflate`: bits not used, plus flags for the last block and for the end of a block.
    private enum Border {
        static let betweenBlocks: Int32 = 128
    }

    /// True: the bytes ended with a final block (`BFINAL`, section 7.2.3.4).
    private static func add(
        _ bytes: UnsafeBufferPointer<UInt8>,
        to out: inout [UInt8],
        _ limit: Int,
        _ stream: UnsafeMutablePointer<z_stream>
    ) throws(WebSocketFault) -> Bool {
        guard let start = bytes.baseAddress, let size = UInt32(exactly: bytes.count) else { return false }
        // zlib only reads through `next_in`; its type comes from C's old habits.
        stream.pointee.next_in = UnsafeMutablePointer(mutating: start)
        stream.pointee.avail_in = size
        return try withUnsafeTemporaryAllocation(of: UInt8.self, capacity: step) { (room) throws(WebSocketFault) in
            while true {
                stream.pointee.next_out = room.baseAddress
                stream.pointee.avail_out = UInt32(step)
                let result = inflate(stream, Z_SYNC_FLUSH)
                let made = step - Int(stream.pointee.avail_out)
                guard out.count + made <= limit else { throw .messageTooBig }
                out.append(contentsOf: room[..<made])
                switch result {
                case Z_STREAM_END:
                    if stream.pointee.avail_in == 0 { return true }
                    // Blocks behind a final one are a stream of their own.
                    inflateReset(stream)
                case Z_OK, Z_BUF_ERROR:
                    // Room left over means that the input is used up.
                    if stream.pointee.avail_out > 0 { return false }
                default:
                    throw .badDeflate
                }
            }
        }
    }
}
