// Keyvane
// SPDX-License-Identifier: Apache-2.0

import CNghttp2

/// A frame as it is on the wire, legal or not.
struct HTTP2Frame: Sendable {
    static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)

    var type: UInt8
    var flags: UInt8 = 0
    var stream: Int32 = 0
    var payload: [UInt8] = []

    var endsStream: Bool { type <= 1 && flags & 1 != 0 }

    var bytes: [UInt8] {
        var out: [UInt8] = [UInt8(payload.count >> 16), UInt8(payload.count >> 8 & 255), UInt8(payload.count & 255), type, flags]
        out += Self.word(UInt32(bitPattern: stream))
        return out + payload
    }

    static func word(_ value: UInt32) -> [UInt8] {
        [UInt8(value >> 24), UInt8(value >> 16 & 255), UInt8(value >> 8 & 255), UInt8(value & 255)]
    }

    static func data(_ stream: Int32, _ text: String, end: Bool = false) -> HTTP2Frame {
        HTTP2Frame(type: 0, flags: end ? 1 : 0, stream: stream, payload: Array(text.utf8))
    }

    static func data(_ stream: Int32, bytes: [UInt8], end: Bool = false) -> HTTP2Frame {
        HTTP2Frame(type: 0, flags: end ? 1 : 0, stream: stream, payload: bytes)
    }

    static func headers(_ stream: Int32, _ fields: [(String, String)], end: Bool = true) -> HTTP2Frame {
        HTTP2Frame(type: 1, flags: 4 | (end ? 1 : 0), stream: stream, payload: block(fields))
    }

    static func reset(_ stream: Int32, _ code: UInt32 = 8) -> HTTP2Frame {
        HTTP2Frame(type: 3, stream: stream, payload: word(code))
    }

    static func settings(_ pairs: [(UInt16, UInt32)] = []) -> HTTP2Frame {
        HTTP2Frame(type: 4, payload: pairs.flatMap { [UInt8($0.0 >> 8), UInt8($0.0 & 255)] + word($0.1) })
    }

    static func ping() -> HTTP2Frame { HTTP2Frame(type: 6, payload: [1, 2, 3, 4, 5, 6, 7, 8]) }

    static func windowUpdate(_ stream: Int32, _ count: Int) -> HTTP2Frame {
        HTTP2Frame(type: 8, stream: stream, payload: word(UInt32(count)))
    }

    /// Literals without indexing and without Huffman (RFC 7541 section 6.2.2): any bytes can be written.
    static func block(_ fields: [(String, String)]) -> [UInt8] {
        fields.flatMap { [0] + literal($0.0) + literal($0.1) }
    }

    private static func literal(_ text: String) -> [UInt8] {
        // One byte for each scalar, so that bytes above ASCII can be written too.
        let bytes = text.unicodeScalars.map { UInt8(truncatingIfNeeded: $0.value) }
        guard bytes.count >= 127 else { return [UInt8(bytes.count)] + bytes }
        var length: [UInt8] = [127]
        var rest = bytes.count - 127
        while rest >= 128 {
            length.append(UInt8(rest % 128 | 128))
            rest /= 128
        }
        return length + [UInt8(rest)] + bytes
    }

    /// The first frame of some bytes, where it is complete.
    static func read(_ bytes: [UInt8]) -> (value: HTTP2Frame, used: Int)? {
        guard bytes.count >= 9 else { return nil }
        let length = Int(bytes[0]) << 16 | Int(bytes[1]) << 8 | Int(bytes[2])
        guard bytes.count >= 9 + length else { return nil }
        let frame = HTTP2Frame(type: bytes[3], flags: bytes[4], stream: number(bytes[5..<9]), payload: Array(bytes[9..<9 + length]))
        return (frame, 9 + length)
    }

    static func number(_ bytes: ArraySlice<UInt8>) -> Int32 {
        bytes.reduce(0) { $0 << 8 | Int32($1) } & 0x7FFF_FFFF
    }
}

/// Header blocks of one connection, back to fields. Confined to its test.
final class HTTP2HeaderReader {
    private let inflater: OpaquePointer

    init() {
        var made: OpaquePointer?
        nghttp2_hd_inflate_new(&made)
        guard let made else { preconditionFailure("no inflater") }
        inflater = made
    }

    deinit { nghttp2_hd_inflate_del(inflater) }

    func read(_ block: [UInt8]) -> [(name: String, value: String)] {
        var fields: [(name: String, value: String)] = []
        block.withUnsafeBufferPointer { block in
            var offset = 0
            while true {
                var pair = nghttp2_nv()
                var flags: Int32 = 0
                let start = block.baseAddress.map { $0 + offset }
                let used = nghttp2_hd_inflate_hd2(inflater, &pair, &flags, start, block.count - offset, 1)
                guard used >= 0 else { return }
                offset += used
                if flags & Int32(NGHTTP2_HD_INFLATE_EMIT.rawValue) != 0 {
                    fields.append((Self.text(pair.name, pair.namelen), Self.text(pair.value, pair.valuelen)))
                }
                if flags & Int32(NGHTTP2_HD_INFLATE_FINAL.rawValue) != 0 { break }
                if offset >= block.count, flags & Int32(NGHTTP2_HD_INFLATE_EMIT.rawValue) == 0 { break }
            }
            nghttp2_hd_inflate_end_headers(inflater)
        }
        return fields
    }

    private static func text(_ start: UnsafeMutablePointer<UInt8>?, _ count: Int) -> String {
        String(decoding: UnsafeBufferPointer(start: start, count: count), as: UTF8.self)
    }
}
