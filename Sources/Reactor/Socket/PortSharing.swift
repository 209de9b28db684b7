// Keyvane
// SPDX-License-Identifier: Apache-2.0

import CUV
import Glibc

/// A restart without a refused connection: a successor listens on the same address (SO_REUSEPORT) before we stop. A socket that just closes
/// resets the clients in its queue, and those whose handshake was on its way there; so new ones are sent to the successor first.
extension ListenSocket {
    /// Sends new connections to a successor's socket. False, and nothing has changed: of the sockets on this address all `count` are ours.
    package func yield(count: Int) -> Bool {
        // Who waits at a passed socket is its next user's by itself.
        guard !isPassed else { return false }
        let total = sharers
        // The youngest stands last. When ours are closed there is none at this position any more, and the kernel spreads by hash again.
        guard total > count, cuv_steer_port(descriptor.number, UInt32(total - 1)) == 0 else { return false }
        return true
    }

    /// How many sockets of whatever process listen on this very address; 0 where the system doesn't tell.
    private var sharers: Int {
        guard let name = procName, let file = fopen(name.file, "re") else { return 0 }
        defer { fclose(file) }
        var line: UnsafeMutablePointer<CChar>?
        var capacity = 0
        defer { free(line) }
        var count = 0
        // Listening sockets come first, behind one line of titles; what is connected may be very much.
        _ = getline(&line, &capacity, file)
        while getline(&line, &capacity, file) > 0, let text = line {
            let words = String(cString: text).split(separator: " ")
            guard words.count > 3, words[3] == "0A" else { break }
            if words[1] == name.address { count += 1 }
        }
        return count
    }

    /// As the kernel writes it: the address in words of the machine's order, the port, all in hexadecimal.
    private var procName: (file: String, address: String)? {
        switch address {
        case .v4(let value, let port):
            ("/proc/net/tcp", Self.hexadecimal(value.bigEndian, 8) + ":" + Self.hexadecimal(UInt32(port), 4))
        case .v6(let bytes, let port, _):
            (
                "/proc/net/tcp6",
                stride(from: 0, to: 16, by: 4).map { start in
                    Self.hexadecimal(bytes[start..<start + 4].withUnsafeBytes { $0.loadUnaligned(as: UInt32.self) }, 8)
                }.joined() + ":" + Self.hexadecimal(UInt32(port), 4)
            )
        case .unix:
            nil
        }
    }

    private static func hexadecimal(_ value: UInt32, _ width: Int) -> String {
        let digits = String(value, radix: 16, uppercase: true)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
}
