// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Reactor
import TestSupport

enum FileList {
    static func names(in folder: String) throws -> [String] {
        guard let stream = opendir(folder) else { throw DeadlinePassed(folder) }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            // In place: an entry is as long as its name, so a copy of the whole type would read beyond the last one.
            guard let offset = MemoryLayout<dirent>.offset(of: \.d_name) else { throw DeadlinePassed(folder) }
            names.append(String(cString: UnsafeRawPointer(entry).advanced(by: offset).assumingMemoryBound(to: CChar.self)))
        }
        return names
    }
}

extension BalancerFixture {
    /// Lets the loops have this much time: for what must not happen too early, never for what must happen.
    func waitAtLeast(milliseconds: Int) async throws {
        let passed = Events<Bool>()
        let loop = outer.loops[0]
        loop.post { loop.after(.milliseconds(milliseconds)) { passed.emit(true) } }
        _ = try await passed.first()
    }
}

extension FileList {
    static func write(_ text: String, to path: String) -> Bool {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return false }
        defer { Glibc.close(descriptor) }
        return Glibc.write(descriptor, text, text.utf8.count) == text.utf8.count
    }
}
