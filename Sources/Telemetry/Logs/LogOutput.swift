// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A descriptor that lines go to; it isn't closed here. Use one object per descriptor: its mutex keeps a line together
/// where the descriptor takes only part of it.
package final class LogOutput: Sendable {
    package static let standardError = LogOutput(descriptor: STDERR_FILENO)
    package static let standardOutput = LogOutput(descriptor: STDOUT_FILENO)

    private let descriptor: Mutex<Int32>
    private let lost = Atomic<Int>(0)

    package init(descriptor: Int32) {
        self.descriptor = Mutex(descriptor)
    }

    /// Lines that could not be written whole: the reader is gone, or has taken nothing for a second.
    package var linesLost: Int { lost.load(ordering: .relaxed) }

    package func write(_ line: [UInt8]) {
        let isWritten = descriptor.withLock { descriptor in
            line.withUnsafeBytes { Self.write($0, to: descriptor) }
        }
        if !isWritten { lost.wrappingAdd(1, ordering: .relaxed) }
    }

    private static func write(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32) -> Bool {
        var rest = bytes
        while !rest.isEmpty {
            let count = systemWrite(descriptor, rest)
            if count >= 0 {
                rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(count))
                continue
            }
            switch errno {
            case EINTR:
                continue
            case EAGAIN, EWOULDBLOCK:
                // Somebody who shares the descriptor made it non-blocking. A log that nobody reads must not stop the process.
                var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                if poll(&waiting, 1, 1_000) == 0 { return false }
            default:
                return false
            }
        }
        return true
    }
}

private func systemWrite(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
    write(descriptor, bytes.baseAddress, bytes.count)
}
