// Keyvane
// SPDX-License-Identifier: Apache-2.0

import CZlib

/// What a gzip text says, as far as it has come.
enum Gunzip {
    struct Result {
        let bytes: [UInt8]
        /// The end was read, and the checksum and length are those of the bytes.
        let isWhole: Bool
    }

    static func read(_ compressed: [UInt8]) -> Result? {
        guard compressed.count >= 10, compressed[0] == 0x1F, compressed[1] == 0x8B, compressed[2] == 8, compressed[3] == 0 else {
            return nil
        }
        var input = Array(compressed[10...])
        var out: [UInt8] = []
        var ended = false
        var room = [UInt8](repeating: 0, count: 64 * 1024)
        var stream = z_stream()
        let rest: Int? = withUnsafeMutablePointer(to: &stream) { stream in
            guard czlib_inflate_init(stream) == Z_OK else { return nil }
            defer { inflateEnd(stream) }
            let (size, capacity) = (UInt32(input.count), UInt32(room.count))
            return input.withUnsafeMutableBufferPointer { input in
                stream.pointee.next_in = input.baseAddress
                stream.pointee.avail_in = size
                while !ended {
                    let status = room.withUnsafeMutableBufferPointer { room in
                        stream.pointee.next_out = room.baseAddress
                        stream.pointee.avail_out = capacity
                        return inflate(stream, Z_SYNC_FLUSH)
                    }
                    out += room[..<(Int(capacity) - Int(stream.pointee.avail_out))]
                    if status == Z_STREAM_END { ended = true } else if status == Z_BUF_ERROR { break } else if status != Z_OK { return nil }
                    if status == Z_OK, stream.pointee.avail_in == 0, stream.pointee.avail_out > 0 { break }
                }
                return Int(stream.pointee.avail_in)
            }
        }
        guard let rest else { return nil }
        let trailer = Array(compressed.suffix(rest))
        let sum = UInt32(truncatingIfNeeded: crc32(0, out, UInt32(out.count)))
        let isWhole = ended && rest == 8 && number(trailer[0..<4]) == sum && number(trailer[4..<8]) == UInt32(truncatingIfNeeded: out.count)
        return Result(bytes: out, isWhole: isWhole)
    }

    private static func number(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        bytes.reversed().reduce(0) { $0 << 8 | UInt32($1) }
    }
}
