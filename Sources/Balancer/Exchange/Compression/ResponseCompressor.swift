// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Wire

/// A response's content on its way through gzip into chunks. Owned by its exchange, confined to its loop; zlib's 256 KB go with it, and a
/// loop has only so many at a time.
final class ResponseCompressor {
    private static let mostOfALoop = 256

    private let encoder: GzipEncoder
    private let host: BalancerLoop
    /// The server says nothing of its content's length, so it may send some now and some much later: each read is passed on whole.
    private let flushes: Bool
    private var compressed: [UInt8] = []

    /// nil where there are enough of them already: then the response goes as it is.
    init?(host: BalancerLoop, flushes: Bool) {
        guard host.compressors < Self.mostOfALoop, let encoder = GzipEncoder() else { return nil }
        self.encoder = encoder
        self.host = host
        self.flushes = flushes
        host.compressors += 1
    }

    deinit { host.compressors -= 1 }

    func add(_ content: Span<UInt8>) {
        encoder.append(content, .none, to: &compressed)
    }

    /// Writes what there is of the added content as one chunk; `isLast`: all of it, and the end of the chunks.
    func flush(isLast: Bool, to out: inout [UInt8]) {
        if isLast {
            encoder.append([UInt8]().span, .finish, to: &compressed)
        } else if flushes {
            encoder.append([UInt8]().span, .sync, to: &compressed)
        }
        if !compressed.isEmpty {
            out.append(String(compressed.count, radix: 16))
            out.append("\r\n")
            out.append(contentsOf: compressed)
            out.append("\r\n")
            compressed.removeAll(keepingCapacity: true)
        }
        if isLast { out.append("0\r\n\r\n") }
    }
}
