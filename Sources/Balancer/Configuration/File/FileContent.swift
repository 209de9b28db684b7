// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Small files as a whole.
enum FileContent {
    /// Why there is no content; the path is the caller's to tell or to keep.
    struct Failure: Error {
        let problem: String
    }

    /// Blocks: for control code on its own thread or task, never for a loop that carries traffic.
    static func bytes(_ path: String, atMost limit: Int) throws(Failure) -> [UInt8] {
        // A pipe that nobody writes to must not stop the start.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw failure(errno) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw failure(errno) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw Failure(problem: "it is no regular file") }
        guard status.st_size <= limit else { throw Failure(problem: "it is larger than \(limit) bytes") }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 * 1024)
        while true {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure(errno) }
            guard count > 0 else { return bytes }
            guard bytes.count + count <= limit else { throw Failure(problem: "it is larger than \(limit) bytes") }
            bytes += buffer[..<count]
        }
    }

    static func text(_ path: String, atMost limit: Int) throws(Failure) -> String {
        guard let text = String(validating: try bytes(path, atMost: limit), as: UTF8.self) else {
            throw Failure(problem: "it is no text in UTF-8")
        }
        return text
    }

    private static func failure(_ number: Int32) -> Failure {
        Failure(problem: String(cString: strerror(number)))
    }
}
