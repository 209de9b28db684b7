// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Crypto
import Foundation
import Glibc

/// Files by their content. Looked at by path each time, so that a link that leads elsewhere is a change, as is a file that was replaced.
package struct WatchedFiles {
    /// What the file system says without reading: nearly always enough.
    private struct Signature: Equatable {
        let device: UInt64
        let node: UInt64
        let size: Int64
        let modified: [Int]
    }

    private struct Seen {
        var signature: Signature?
        var digest: SHA256Digest?
    }

    private var seen: [String: Seen] = [:]

    package init(_ paths: [String]) {
        follow(paths)
    }

    /// Other files from now on; those that stay are compared with what they were.
    package mutating func follow(_ paths: [String]) {
        seen = Dictionary(paths.map { ($0, seen[$0] ?? Self.look(at: $0)) }) { first, _ in first }
    }

    /// True where the content of one is another than at the last call; one that is there or gone now is that too.
    package mutating func haveChanged() -> Bool {
        var isChanged = false
        for (path, before) in seen {
            guard Self.signature(of: path) != before.signature else { continue }
            let now = Self.look(at: path)
            seen[path] = now
            if now.digest != before.digest { isChanged = true }
        }
        return isChanged
    }

    private static func look(at path: String) -> Seen {
        // Signature first: what is written in between is seen the next time.
        let signature = signature(of: path)
        let content = try? Data(contentsOf: URL(fileURLWithPath: path))
        return Seen(signature: signature, digest: content.map { SHA256.hash(data: $0) })
    }

    private static func signature(of path: String) -> Signature? {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        return Signature(
            device: UInt64(status.st_dev),
            node: UInt64(status.st_ino),
            size: Int64(status.st_size),
            modified: [status.st_mtim.tv_sec, status.st_mtim.tv_nsec, status.st_ctim.tv_sec, status.st_ctim.tv_nsec]
        )
    }
}
