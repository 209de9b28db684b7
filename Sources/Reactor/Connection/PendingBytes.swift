// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Bytes that the kernel did not take yet; owned by its connection. Owns no memory while empty.
struct PendingBytes: ~Copyable {
    private var bytes: [UInt8] = []
    private var sent = 0

    var count: Int { bytes.count - sent }
    var isEmpty: Bool { sent == bytes.count }

    mutating func append(_ more: Span<UInt8>) {
        // Move the rest to the front once the sent part is the larger one: each byte moves at most once per doubling.
        if sent > bytes.count / 2 {
            bytes.removeFirst(sent)
            sent = 0
        }
        more.withUnsafeBufferPointer { bytes.append(contentsOf: $0) }
    }

    mutating func removeFirst(_ count: Int) {
        sent += count
        if isEmpty { removeAll() }
    }

    mutating func removeAll() {
        bytes = []
        sent = 0
    }

    func withUnsent<Value>(_ body: (Span<UInt8>) -> Value) -> Value {
        body(bytes.span.extracting(sent...))
    }
}
