// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The token that goes along with WebSocket checks; read when its pool is configured. An immutable value.
enum CheckToken {
    case none
    case token(String)
    /// Its file can't be read: every check fails until the pool is configured anew.
    case unreadable

    /// The first line of a file, as operators write it.
    init(file path: String?) {
        guard let path else {
            self = .none
            return
        }
        guard let file = fopen(path, "r") else {
            self = .unreadable
            return
        }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 4096)
        guard fgets(&line, Int32(line.count), file) != nil else {
            self = .unreadable
            return
        }
        let bytes = line.prefix { $0 != 0 && $0 != 0x0A && $0 != 0x0D }.map { UInt8(bitPattern: $0) }
        // It becomes part of a header line.
        let isToken = !bytes.isEmpty && bytes.allSatisfy { $0 > 0x20 && $0 < 0x7F }
        self = isToken ? .token(String(decoding: bytes, as: UTF8.self)) : .unreadable
    }
}
