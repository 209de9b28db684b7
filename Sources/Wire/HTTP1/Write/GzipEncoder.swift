// Keyvane
// SPDX-License-Identifier: Apache-2.0

import CZlib

/// One content's bytes as gzip (RFC 1952), piece by piece. Owned by whoever has the message, and made for it: the state takes 256 KB until
/// its owner goes. Of use to one caller at a time.
package final class GzipEncoder {
    package enum Flush: Sendable {
        /// What makes no full block yet stays inside.
        case none
        /// All that came can be read by the receiver.
        case sync
        /// The end; nothing may follow.
        case finish
    }

    /// Half of the compressor's work at 1 % of the size compared with its default.
    private static let level: Int32 = 5
    private static let step = 16 * 1024

    /// zlib's state points back to it, so it stays at one address.
    private let stream: UnsafeMutablePointer<z_stream>
    private let room: UnsafeMutableBufferPointer<UInt8>

    /// nil where there is no memory for it.
    package init?() {
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        room = .allocate(capacity: Self.step)
        // A class is deinitialised even where its initialiser gives up here, and zlib ignores a stream that it never began.
        guard czlib_gzip_init(stream, Self.level) == Z_OK else { return nil }
    }

    deinit {
        deflateEnd(stream)
        stream.deallocate()
        room.deallocate()
    }

    package func append(_ bytes: Span<UInt8>, _ flush: Flush, to out: inout [UInt8]) {
        bytes.withUnsafeBufferPointer { bytes in
            // zlib only reads through `next_in`; its type comes from C's old habits.
            stream.pointee.next_in = bytes.baseAddress.map { UnsafeMutablePointer(mutating: $0) }
            stream.pointee.avail_in = UInt32(bytes.count)
            let mode =
                switch flush {
                case .none: Z_NO_FLUSH
                case .sync: Z_SYNC_FLUSH
                case .finish: Z_FINISH
                }
            repeat {
                stream.pointee.next_out = room.baseAddress
                stream.pointee.avail_out = UInt32(room.count)
                // It has no other result than Z_OK and Z_STREAM_END, and Z_BUF_ERROR where there was nothing to do.
                _ = deflate(stream, mode)
                out.append(contentsOf: room[..<(room.count - Int(stream.pointee.avail_out))])
            } while stream.pointee.avail_out == 0
        }
    }
}
