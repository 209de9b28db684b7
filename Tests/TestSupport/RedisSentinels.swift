// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Wire

/// Runs `body` with a master, its replica and three sentinels that watch over them, all with passwords, and ends them however it returns.
package func withSentinels<Value>(
    isolation: isolated (any Actor)? = #isolation,
    _ body: (RedisSentinels) async throws -> Value
) async throws -> Value {
    let folder = try TemporaryFolder("kv-sentinel")
    defer { folder.remove() }
    let sentinels = try RedisSentinels(folder: folder.path)
    do {
        try await sentinels.start()
        let value = try await body(sentinels)
        await sentinels.end()
        return value
    } catch {
        await sentinels.end()
        throw error
    }
}

/// Runs `body` with one sentinel that is configured as given.
package func withRedis<Value>(
    sentinel configuration: String,
    arguments: [String] = [],
    isolation: isolated (any Actor)? = #isolation,
    _ body: (RedisProcess) async throws -> Value
) async throws -> Value {
    let folder = try TemporaryFolder("kv-sentinel")
    defer { folder.remove() }
    let file = "\(folder.path)/sentinel.conf"
    try configuration.write(toFile: file, atomically: true, encoding: .utf8)
    return try await withRedis(arguments: [file, "--sentinel"] + arguments, isolation: isolation, body)
}

/// A Redis that fails over by itself.
package final class RedisSentinels: Sendable {
    /// The master's name among the sentinels.
    package static let name = "main"
    private static let (password, sentinelPassword) = ("s3rver", "s3ntinel")

    /// The first is the master at the start.
    package let servers: [RedisProcess]
    package let sentinels: [RedisProcess]
    private let folder: String

    fileprivate init(folder: String) throws {
        self.folder = folder
        let login = ["--masterauth", Self.password]
        let first = try RedisProcess(password: Self.password, arguments: login)
        let second = try RedisProcess(password: Self.password, arguments: login + ["--replicaof", "127.0.0.1 \(first.port)"])
        servers = [first, second]
        sentinels = try (1...3).map {
            try RedisProcess(password: Self.sentinelPassword, arguments: ["\(folder)/\($0).conf", "--sentinel"])
        }
    }

    package var url: String {
        let hosts = sentinels.map { "127.0.0.1:\($0.port)" }.joined(separator: ",")
        return "redis+sentinel://:\(Self.password)@\(hosts)/\(Self.name)?sentinel_password=\(Self.sentinelPassword)"
    }

    fileprivate func start() async throws {
        for server in servers { try await server.start() }
        for (index, sentinel) in sentinels.enumerated() {
            let configuration = """
                sentinel monitor \(Self.name) 127.0.0.1 \(servers[0].port) 2
                sentinel auth-pass \(Self.name) \(Self.password)
                sentinel sentinel-pass \(Self.sentinelPassword)
                sentinel down-after-milliseconds \(Self.name) 2000
                sentinel failover-timeout \(Self.name) 4000

                """
            try configuration.write(toFile: "\(folder)/\(index + 1).conf", atomically: true, encoding: .utf8)
            try await sentinel.start()
            // They look every ten seconds and talk every two by themselves.
            try await sentinel.command("SENTINEL", "DEBUG", "INFO-PERIOD", "500", "PUBLISH-PERIOD", "500")
        }
        try await agree()
    }

    /// Returns when every living sentinel has seen the others and a replica that it could promote.
    package func agree() async throws {
        for sentinel in sentinels where sentinel.pid != nil {
            _ = try await eventually("sentinels that know each other") { () -> Bool? in
                guard case .array(let items) = try await sentinel.command("SENTINEL", "MASTER", Self.name) else { return nil }
                let fields = items.map { $0.string ?? "" }
                func value(_ name: String) -> String? { fields.firstIndex(of: name).map { fields[$0 + 1] } }
                guard value("num-slaves") == "1", value("num-other-sentinels") == "2", value("flags") == "master" else { return nil }
                guard case .array(let replicas) = try await sentinel.command("SENTINEL", "REPLICAS", Self.name) else { return nil }
                let replica = replicas.first?.array?.map { $0.string ?? "" } ?? []
                let isLinked = replica.firstIndex(of: "master-link-status").map { replica[$0 + 1] == "ok" } ?? false
                return isLinked && replica.firstIndex(of: "flags").map { replica[$0 + 1] == "slave" } ?? false ? true : nil
            }
        }
    }

    fileprivate func end() async {
        for process in sentinels + servers { await process.kill() }
    }
}

/// A folder of its own; whoever makes it removes it.
package struct TemporaryFolder {
    package let path: String

    package init(_ prefix: String) throws {
        var template = Array("/tmp/\(prefix)-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw DeadlinePassed("a folder: \(String(cString: strerror(errno)))") }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    package func remove() {
        try? FileManager.default.removeItem(atPath: path)
    }
}
