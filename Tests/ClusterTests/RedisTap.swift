// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Synchronization
import TestSupport
import Wire

/// A client of the cluster's Redis beside it: hears what travels, and publishes what no server of ours would.
final class RedisTap: Sendable {
    let messages = Events<String>()
    private let url: URL
    private let subscription: RawSocket

    init(_ url: String) throws {
        guard let url = URL(string: url), let port = url.port else { throw DeadlinePassed("no Redis URL: \(url)") }
        self.url = url
        subscription = try Self.connect(url, port)
    }

    private static func connect(_ url: URL, _ port: Int) throws -> RawSocket {
        let socket = try RawSocket(port: UInt16(port))
        if let password = url.password {
            socket.write(RESPCommand.encode("AUTH", password))
            guard socket.read().starts(with: Array("+OK".utf8)) else { throw DeadlinePassed("Redis refused the password") }
        }
        return socket
    }

    /// Collects the messages of `channel` from now on, on a thread that ends with the connection.
    func subscribe(_ channel: String = "change-notifier") {
        subscription.write(RESPCommand.encode("SUBSCRIBE", channel))
        _ = subscription.read()
        let (socket, messages) = (subscription, messages)
        Thread.detachNewThread {
            guard let reader = RESPReader(limits: RESPLimits()) else { return }
            while true {
                let bytes = socket.read()
                guard !bytes.isEmpty else { return }
                do {
                    try reader.read(
                        bytes.span,
                        message: { _, payload in
                            let copy = (0..<payload.count).map { payload[$0] }
                            messages.emit(String(decoding: copy, as: UTF8.self))
                        },
                        reply: { _ in }
                    )
                } catch {
                    return
                }
            }
        }
    }

    func publish(_ message: String, on channel: String = "change-notifier") throws {
        try command("PUBLISH", channel, message)
    }

    /// Sends one command and returns the answer's text.
    @discardableResult
    func command(_ words: String...) throws -> String {
        let socket = try Self.connect(url, url.port ?? 0)
        socket.write(RESPCommand.encode(words.map { Array($0.utf8) }))
        return String(decoding: socket.read(), as: UTF8.self)
    }
}
