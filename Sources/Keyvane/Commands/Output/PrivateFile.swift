// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Foundation
import Glibc

/// Files with secrets in them: mode 0600 from the first byte on, and replaced as a whole.
package enum PrivateFile {
    /// Readers see the old content or the new one; a link at the path is replaced, not followed.
    package static func write(_ data: Data, to path: String) throws(RunError) {
        let temporary = "\(path).\(getpid()).new"
        unlink(temporary)
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw failure(path) }
        do {
            let file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
            try file.write(contentsOf: data)
            // Else a machine that stops now may keep the new name with nothing in it.
            guard fsync(descriptor) == 0 else { throw failure(path) }
            try file.close()
        } catch {
            unlink(temporary)
            throw RunError("\(path) can't be written: \(error)")
        }
        guard rename(temporary, path) == 0 else {
            let failure = failure(path)
            unlink(temporary)
            throw failure
        }
    }

    private static func failure(_ path: String) -> RunError {
        RunError("\(path) can't be written: \(String(cString: strerror(errno)))")
    }
}
