// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// A Redis of dev's own: memory only, on loopback, with a password. PostgreSQL is the truth, so nothing of it is worth keeping.
struct PrivateRedis: Sendable {
    let port: UInt16
    private let password: String
    private let configuration: String

    var url: String { "redis://:\(password)@127.0.0.1:\(port)" }

    init(data: String, password: String, port: UInt16) throws {
        self.port = port
        self.password = password
        guard ["/usr/bin", "/usr/local/bin"].contains(where: { FileManager.default.isExecutableFile(atPath: "\($0)/redis-server") }) else {
            throw RunError("no redis-server found. Install it (apt-get install redis-server) or use your own with --redis URL.")
        }
        configuration = "\(data)/redis.conf"
        // In a file of mode 0600, because a command line can be read by every user of the machine.
        let lines = [
            "bind 127.0.0.1", "port \(port)", "requirepass \(password)", "save \"\"", "appendonly no", "daemonize no", "loglevel warning",
            "dir \"\(data.replacing("\\", with: "\\\\").replacing("\"", with: "\\\""))\"",
        ]
        try DataFolder.write(Data((lines.joined(separator: "\n") + "\n").utf8), to: configuration, mode: 0o600)
    }

    func plan(environment: [String: String]) -> ProcessPlan {
        ProcessPlan(name: "redis", arguments: ["redis-server", configuration], environment: environment)
    }
}
