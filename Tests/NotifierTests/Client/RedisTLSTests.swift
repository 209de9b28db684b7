// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Notifier
import TestSupport
import Testing
import Wire

@Suite("Redis over TLS", .serialized)
struct RedisTLSTests {
    @Test("does everything as a user that may do no more than it needs, with a certificate")
    func everything() async throws {
        let log = CapturedLog()
        try await withCertificates { certificates in
            let port = try RedisProcess.freePort()
            let user = ["--user"] + RedisWorkout.acl("keyvane", password: "hunt+er2", cluster: "test")
            try await withRedis(arguments: certificates.redis(port: port, verifies: true) + user) { redis in
                let files = "ca=\(certificates.authority)&certificate=\(certificates.certificate(.client))&key=\(certificates.key(.client))"
                let url = "rediss://keyvane:hunt%2Ber2@localhost:\(port)/0?\(files)"
                try await RedisWorkout.run(try RedisWorkout.configuration(url), log: log) { workout in
                    try await workout.works(revision: 1)
                    #expect(try await redis.command("ACL", "LOG").array?.isEmpty == true)
                    let connects = workout.connects
                    await redis.kill()
                    try await workout.client.lost()
                    try await redis.start()
                    try await workout.recovers(from: connects, revision: 2)
                }
                // Both left in order, by a script and a DEL.
                #expect(try await redis.command("DBSIZE").integer == 0)
            }
        }
        #expect(!log.contents.contains("hunt"))
    }

    @Test("says why a certificate was refused, ours or theirs")
    func refused() async throws {
        try await withCertificates { certificates in
            func failure(_ url: String) async throws -> NotifierError {
                try await withClient(try NotifierFixture.configuration(url), waits: false) { client in
                    try await eventually("a refusal") { client.lastFailure }
                }
            }
            let (port, authority) = (try RedisProcess.freePort(), certificates.authority)
            try await withRedis(password: "hunter2", arguments: certificates.redis(port: port, verifies: true)) { _ in
                for (url, reason) in [
                    ("rediss://:hunter2@127.0.0.1:\(port)?ca=\(certificates.otherAuthority)", "certificate is refused"),
                    ("rediss://:hunter2@127.0.0.1:\(port)", "certificate is refused"),
                    ("rediss://:hunter2@127.0.0.1:\(port)?ca=\(authority)", "certificate required"),
                ] {
                    let error = try await failure(url)
                    #expect(error.code == .away)
                    #expect(error.message.contains(reason), "\(error.message)")
                    #expect(!error.description.contains("hunter"))
                }
                let files = "ca=\(authority)&certificate=\(certificates.certificate(.client))&key=\(certificates.key(.client))"
                let wrongPassword = try await failure("rediss://:hunter3@127.0.0.1:\(port)?\(files)")
                #expect(wrongPassword.code == .accessDenied)
                let plain = try await failure("redis://:hunter2@127.0.0.1:\(port)")
                #expect(plain.code == .away)
            }
            let other = try RedisProcess.freePort()
            try await withRedis(arguments: certificates.redis(port: other, .elsewhere)) { _ in
                let error = try await failure("rediss://127.0.0.1:\(other)?ca=\(authority)")
                #expect(error.message.contains("IP address mismatch"), "\(error.message)")
            }
        }
    }
}
