// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Notifier
import TestSupport
import Testing
import Wire

@Suite("A client of a real Redis", .serialized)
struct RedisClientTests {
    @Test("answers commands in order, from many tasks at once")
    func commands() async throws {
        try await withRedis { redis in
            try await withClient(try NotifierFixture.configuration(redis.url)) { client in
                #expect(try await client.send("SET", "key", "one two\r\n\0é") == .simple("OK"))
                #expect(try await client.send("GET", "key").string == "one two\r\n\0é")
                #expect(try await client.send("GET", "none") == .null)
                try await withThrowingTaskGroup(of: Bool.self) { tasks in
                    for number in 0..<500 {
                        tasks.addTask { try await client.send("ECHO", "\(number)").string == "\(number)" }
                    }
                    for try await isOwn in tasks { #expect(isOwn) }
                }
                let bytes = RESPCommand.encode("INCR", "n") + RESPCommand.encode("NOSUCH", "hunter2") + RESPCommand.encode("INCR", "n")
                let replies = try await client.pipeline(bytes, count: 3)
                #expect(replies.first == .integer(1) && replies.last == .integer(2))
            }
        }
    }

    @Test("throws an error reply without its text, which may repeat arguments")
    func refused() async throws {
        try await withRedis { redis in
            try await withClient(try NotifierFixture.configuration(redis.url)) { client in
                let error = await #expect(throws: NotifierError.self) { try await client.send("NOSUCH", "hunter2") }
                #expect(error?.code == .refused)
                #expect(error?.description.contains("hunter2") == false)
                #expect(client.isConnected)
            }
        }
    }

    @Test("fails fast while Redis is away, and comes back by itself", arguments: [true, false])
    func killed(inOrder: Bool) async throws {
        try await withRedis { redis in
            let metrics = CountingMetrics()
            let log = CapturedLog()
            try await withClient(try NotifierFixture.configuration(redis.url), metrics: NotifierMetrics(factory: metrics), log: log) {
                client in
                for round in 1...3 {
                    if inOrder { try await redis.stop() } else { await redis.kill() }
                    try await client.lost()
                    let error = await #expect(throws: NotifierError.self) { try await client.send("PING") }
                    #expect(error?.code == .away)
                    #expect(client.lastFailure?.code == .away)
                    try await redis.start()
                    try await client.reached()
                    #expect(client.lastFailure == nil)
                    #expect(try await client.send("PING") == .simple("PONG"))
                    #expect(metrics["notifier_reconnects_total connection=commands"] == Int64(round))
                }
            }
            // A line an outage, however many attempts it took.
            #expect(log.contents.split(separator: "\n").count(where: { $0.contains("Redis is away") }) <= 6)
            #expect(log.contents.split(separator: "\n").count(where: { $0.contains("connected to Redis") }) == 4)
        }
    }

    @Test("starts before Redis does")
    func startsFirst() async throws {
        try await withRedis { redis in
            try await redis.stop()
            try await withClient(try NotifierFixture.configuration(redis.url), waits: false) { client in
                _ = try await eventually("a failure") { client.lastFailure }
                #expect(!client.isConnected)
                try await redis.start()
                try await client.reached()
            }
        }
    }

    @Test("counts a paused Redis as away within a second, and finds it again when it goes on")
    func paused() async throws {
        try await withRedis { redis in
            let configuration = try NotifierFixture.configuration(redis.url, answerLimit: .milliseconds(300))
            try await withClient(configuration) { client in
                let clock = ContinuousClock()
                for _ in 0..<2 {
                    try await client.reached()
                    redis.pause()
                    let start = clock.now
                    try await client.lost()
                    // 600 ms by design; the rest is for a test machine with more to do than cores.
                    #expect(start.duration(to: clock.now) < .seconds(2))
                    let error = await #expect(throws: NotifierError.self) { try await client.send("PING") }
                    #expect(error?.code == .away)
                    redis.resume()
                    try await client.reached()
                }
                _ = try await eventually("an answer") { try? await client.send("PING") }
            }
        }
    }

    @Test("fails what waits for an answer when the connection goes")
    func waiting() async throws {
        try await withRedis { redis in
            try await withClient(try NotifierFixture.configuration(redis.url)) { client in
                let results = Events<NotifierError?>()
                await withTaskGroup(of: Void.self) { tasks in
                    for _ in 0..<10 {
                        tasks.addTask {
                            do throws(NotifierError) {
                                _ = try await client.send("BLPOP", "nothing", "0")
                                results.emit(nil)
                            } catch {
                                results.emit(error)
                            }
                        }
                    }
                    // The first of them blocks the connection; Redis has it when it says so.
                    _ = try? await eventually("a blocked client") {
                        try await redis.command("INFO", "clients").string?.contains("blocked_clients:1") == true ? true : nil
                    }
                    await redis.kill()
                }
                #expect(results.all.count == 10)
                #expect(results.all.allSatisfy { $0?.code == .away })
            }
        }
    }

    @Test("refuses what would wait beyond its limit, and takes more later")
    func queueFull() async throws {
        try await withRedis { redis in
            var configuration = try NotifierFixture.configuration(redis.url)
            configuration.queueLimit = 64 * 1024
            try await withClient(configuration) { client in
                let text = String(repeating: "x", count: 10_000)
                redis.pause()
                let outcomes = await withTaskGroup(of: NotifierError.Code?.self) { tasks in
                    for _ in 0..<20 {
                        tasks.addTask {
                            do throws(NotifierError) {
                                _ = try await client.send("ECHO", text)
                                return nil
                            } catch {
                                return error.code
                            }
                        }
                    }
                    var outcomes: [NotifierError.Code?] = []
                    // Those over the limit are refused while the others wait.
                    while outcomes.count < 14, let outcome = await tasks.next() { outcomes.append(outcome) }
                    redis.resume()
                    for await outcome in tasks { outcomes.append(outcome) }
                    return outcomes
                }
                #expect(outcomes.count(where: { $0 == .queueFull }) == 14)
                #expect(outcomes.count(where: { $0 == nil }) == 6)
                let echo = try await client.send("ECHO", text)
                #expect(echo.string == text)
            }
        }
    }

    @Test("logs in, and never shows the password")
    func password() async throws {
        let log = CapturedLog()
        try await withRedis(password: "hunter2") { redis in
            try await withClient(try NotifierFixture.configuration(redis.url + "?db=3"), log: log) { client in
                let answer = try await client.send("SET", "key", "value")
                let name = try await client.send("CLIENT", "GETNAME")
                #expect(answer == .simple("OK") && name.string == "keyvane")
            }
            for url in [
                "redis://127.0.0.1:\(redis.port)", "redis://:hunter3@127.0.0.1:\(redis.port)",
                "redis://nobody:hunter2@127.0.0.1:\(redis.port)",
            ] {
                try await withClient(try NotifierFixture.configuration(url), waits: false, log: log) { client in
                    let failure = try await eventually("a refusal") { client.lastFailure }
                    #expect(failure.code == .accessDenied)
                    #expect(!failure.description.contains("hunter"))
                }
            }
        }
        #expect(log.contents.contains("redis_access_denied"))
        #expect(!log.contents.contains("hunter"))
    }

    @Test("gives up on a server that speaks another protocol, and says so")
    func otherProtocol() async throws {
        try await withRedisProxy(to: 1) { proxy in
            try await withClient(try NotifierFixture.configuration(proxy.url), waits: false) { client in
                let failure = try await eventually("a failure") { client.lastFailure }
                #expect(failure.code == .away)
            }
        }
        try await withGreeter("HTTP/1.1 400 Bad Request\r\n\r\n") { port in
            try await withClient(try NotifierFixture.configuration("redis://127.0.0.1:\(port)"), waits: false) { client in
                let failure = try await eventually("a failure") { client.lastFailure }
                #expect(failure.code == .protocolViolated)
            }
        }
        try await withGreeter("+OK\r\n+PONG\r\n+AGAIN\r\n") { port in
            try await withClient(try NotifierFixture.configuration("redis://127.0.0.1:\(port)"), waits: false) { client in
                _ = try await eventually("a failure") { client.lastFailure?.code == .protocolViolated ? true : nil }
            }
        }
    }
}
