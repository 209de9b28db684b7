// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport

/// One request a connection, as text. Each waits on a thread of its own: many at a time on the shared pool would starve the server, which
/// runs in this process.
struct APIClient: Sendable {
    let port: UInt16
    let token: String?

    func call(
        _ method: String,
        _ target: String,
        body: String? = nil,
        type: String = "application/json",
        fields: [(String, String)] = []
    ) async throws -> PlainAnswer {
        var head = "\(method) \(target) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        if let token { head += "Authorization: Bearer \(token)\r\n" }
        if let body { head += "Content-Type: \(type)\r\nContent-Length: \(body.utf8.count)\r\n" }
        for (name, value) in fields { head += "\(name): \(value)\r\n" }
        let bytes = try await Self.exchange(port, Array((head + "\r\n" + (body ?? "")).utf8))
        guard let answer = PlainAnswer(bytes) else {
            throw DeadlinePassed("\(method) \(target): no HTTP answer but \(bytes.count) bytes")
        }
        return answer
    }

    /// Whatever comes back, to the end of the stream.
    static func exchange(_ port: UInt16, _ bytes: [UInt8], finishing: Bool = false) async throws -> [UInt8] {
        try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread {
                do {
                    let socket = try RawSocket(port: port)
                    socket.write(bytes)
                    if finishing { socket.finishSending() }
                    var all: [UInt8] = []
                    while case let more = socket.read(), !more.isEmpty { all += more }
                    continuation.resume(returning: all)
                } catch {
                    continuation.resume(throwing: error)
                }
            }
        }
    }
}
