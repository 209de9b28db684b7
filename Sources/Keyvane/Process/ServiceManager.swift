// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Foundation
import Glibc

/// systemd, or whoever started us in its way: told how we are (sd_notify(3)), asked for sockets that it has bound (sd_listen_fds(3)).
/// Nobody is told anything where nobody wants to know. Immutable.
package struct ServiceManager: Sendable {
    /// What is ours alone: a child that saw them would speak for us, or take our descriptors for its own.
    package static let variables = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"]

    private let path: String?
    /// How long we may be silent before we are taken for stuck; nil where nobody looks.
    package let patience: Duration?
    /// Descriptors that were passed to us, with their names.
    package let descriptors: [(number: Int32, name: String)]

    /// - Throws: where sockets are promised in a way that can't be read.
    package init(environment: [String: String], process: Int32 = getpid()) throws(RunError) {
        path = environment["NOTIFY_SOCKET"].flatMap { $0.hasPrefix("/") || $0.hasPrefix("@") ? $0 : nil }
        // The variables of a parent that didn't take them away are not for us.
        let isWatched = environment["WATCHDOG_PID"].map { $0 == String(process) } ?? true
        let microseconds = environment["WATCHDOG_USEC"].flatMap { Int64($0) } ?? 0
        patience = path != nil && isWatched && microseconds > 0 ? .microseconds(microseconds) : nil
        guard environment["LISTEN_PID"] == String(process), let text = environment["LISTEN_FDS"] else {
            descriptors = []
            return
        }
        guard let count = Int32(text), (0...1024).contains(count) else {
            throw RunError("LISTEN_FDS: '\(text)' is no number of passed sockets")
        }
        let names = environment["LISTEN_FDNAMES"]?.split(separator: ":", omittingEmptySubsequences: false) ?? []
        guard names.isEmpty || names.count == count else {
            throw RunError("LISTEN_FDNAMES: \(names.count) names for \(count) passed sockets")
        }
        // They begin behind standard error.
        descriptors = (0..<count).map { (3 + $0, names.isEmpty ? "unknown" : String(names[Int($0)])) }
    }

    /// Of this process. Takes what it read out of the environment.
    static func ours() throws(RunError) -> ServiceManager {
        defer { for variable in variables { unsetenv(variable) } }
        return try ServiceManager(environment: ProcessInfo.processInfo.environment)
    }

    package func isReady(_ status: String) { tell("READY=1", "STATUS=\(status)") }

    /// Followed by `isReady`, whatever became of it. The time says which of two is the later one.
    package func isReloading() {
        // CLOCK_MONOTONIC, which is what Dispatch counts by.
        tell("RELOADING=1", "MONOTONIC_USEC=\(DispatchTime.now().uptimeNanoseconds / 1_000)")
    }

    package func isStopping() { tell("STOPPING=1", "STATUS=Draining") }

    package func isAlive() { tell("WATCHDOG=1") }

    /// One datagram. Who can't be reached can't be helped: a manager that waits for a word in vain says so itself.
    private func tell(_ lines: String...) {
        guard let path else { return }
        let number = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard number >= 0 else { return }
        defer { close(number) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var name = Array(path.utf8)
        // A name in the abstract space begins with a zero byte and ends with its length.
        if name[0] == UInt8(ascii: "@") { name[0] = 0 }
        let room = MemoryLayout.size(ofValue: address.sun_path)
        guard name.count < room else { return }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: name) }
        let length = MemoryLayout<sa_family_t>.size + name.count + (name[0] == 0 ? 0 : 1)
        let message = Array(lines.joined(separator: "\n").utf8)
        _ = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                sendto(number, message, message.count, Int32(MSG_NOSIGNAL), $0, socklen_t(length))
            }
        }
    }
}
