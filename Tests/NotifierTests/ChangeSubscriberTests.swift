// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Notifier
import Reactor
import TestSupport
import Testing
import Wire

@Suite("Subscribing to changes", .serialized)
struct ChangeSubscriberTests {
    private static func text(_ message: ChangeMessage) -> String {
        String(decoding: message.encoded(NotifierFixture.authenticator), as: UTF8.self)
    }

    @Test("hears both channels, and believes only what is ours")
    func channels() async throws {
        try await withRedis { redis in
            let metrics = CountingMetrics()
            let id = NotifierFixture.environmentID
            try await LoopGroup.withLoops(count: 1) { group in
                let configuration = try NotifierFixture.configuration(redis.url)
                let shared = NotifierMetrics(factory: metrics)
                try await withSubscriber(configuration, on: group.loops[0], metrics: shared) { batches in
                    let change = NotifierFixture.change(1)
                    let control = ControlMessage.tokenRevoked(tokenID: "ab12cd34")
                    let genuine = String(decoding: control.encoded(NotifierFixture.authenticator), as: UTF8.self)
                    for (channel, text) in [
                        ("change-notifier", #"{"environmentId":"\#(id)","name":"A","value":"1","isSecret":false}"#),
                        ("change-notifier", "garbage"), ("change-notifier", ""), ("other", Self.text(change)),
                        ("change-notifier:control", "garbage"),
                        ("change-notifier:control", #"{"type":"token-revoked","tokenId":"ab12cd34"}"#),
                        ("change-notifier:control", genuine), ("change-notifier", Self.text(change)),
                    ] {
                        try await redis.command("PUBLISH", channel, text)
                    }
                    try await batches.until("the last message") { $0.joined().contains(.message(change)) }
                    let expected: [SubscriberEvent] = [
                        .connected, .untrusted(environmentID: id), .untrusted(environmentID: nil), .untrusted(environmentID: nil),
                        .control(control, isTrusted: false), .control(control, isTrusted: true), .message(change),
                    ]
                    #expect(batches.flat == expected)
                    #expect(metrics["notifier_received_total"] == 7)
                    #expect(metrics["notifier_untrusted_total"] == 5)
                }
            }
        }
    }

    @Test("tells a lost connection, and a new one when it listens again", arguments: ["kill", "restart", "client kill", "cut"])
    func reconnects(how: String) async throws {
        try await withRedis { redis in
            try await withRedisProxy(to: redis.port) { proxy in
                let metrics = CountingMetrics()
                try await LoopGroup.withLoops(count: 1) { group in
                    let configuration = try NotifierFixture.configuration(proxy.url)
                    try await withSubscriber(configuration, on: group.loops[0], metrics: NotifierMetrics(factory: metrics)) { batches in
                        switch how {
                        case "kill":
                            await redis.kill()
                            try await batches.until("the loss") { $0.joined().contains(.disconnected) }
                            try await redis.start()
                        case "restart":
                            try await redis.stop()
                            try await redis.start()
                        case "client kill": try await redis.command("CLIENT", "KILL", "TYPE", "pubsub")
                        default: try await proxy.cut()
                        }
                        try await batches.until("the return") { $0.joined().count { $0 == .connected } == 2 }
                        // It listens as soon as it says so.
                        try await redis.command("PUBLISH", "change-notifier", Self.text(NotifierFixture.change(7)))
                        #expect(try await batches.messages(1) == [NotifierFixture.change(7)])
                        #expect(batches.flat == [.connected, .disconnected, .connected, .message(NotifierFixture.change(7))])
                        #expect(metrics["notifier_reconnects_total connection=subscriber"] == 1)
                    }
                }
            }
        }
    }

    @Test("tells a paused Redis within a second, and goes on when it does; a flush changes nothing")
    func paused() async throws {
        try await withRedis { redis in
            try await LoopGroup.withLoops(count: 1) { group in
                let configuration = try NotifierFixture.configuration(redis.url, answerLimit: .milliseconds(300))
                try await withSubscriber(configuration, on: group.loops[0]) { batches in
                    try await redis.command("FLUSHALL")
                    redis.pause()
                    let start = ContinuousClock().now
                    try await batches.until("the loss") { $0.joined().contains(.disconnected) }
                    #expect(start.duration(to: ContinuousClock().now) < .seconds(2))
                    redis.resume()
                    try await batches.until("the return") { $0.joined().last == .connected }
                }
            }
        }
    }

    @Test("an idle subscription stays, by PING and pong alone")
    func idle() async throws {
        try await withRedis { redis in
            try await LoopGroup.withLoops(count: 1) { group in
                var configuration = try NotifierFixture.configuration(redis.url)
                configuration.silenceLimit = .milliseconds(10)
                configuration.answerLimit = .seconds(1)
                try await withSubscriber(configuration, on: group.loops[0]) { batches in
                    _ = try await eventually("five PINGs") {
                        let text = try await redis.command("INFO", "commandstats").string ?? ""
                        let calls = text.firstRange(of: "cmdstat_ping:calls=").map { text[$0.upperBound...].prefix { $0.isNumber } }
                        return (calls.flatMap { Int($0) } ?? 0) >= 5 ? true : nil
                    }
                    #expect(batches.flat == [.connected])
                }
            }
        }
    }

    @Test("hears nothing after it was stopped, whatever is on its way")
    func stops() async throws {
        try await withRedis { redis in
            try await LoopGroup.withLoops(count: 1) { group in
                let configuration = try NotifierFixture.configuration(redis.url)
                let batches = try await withSubscriber(configuration, on: group.loops[0]) { $0 }
                let before = batches.flat
                try await redis.command("PUBLISH", "change-notifier", "garbage")
                await redis.kill()
                try await group.loops[0].run {}
                #expect(batches.flat == before)
            }
        }
    }

    @Test("a proxy in between can drop, double, swap and delay single messages, and nothing else changes")
    func proxy() async throws {
        try await withRedis { redis in
            try await withRedisProxy(to: redis.port) { proxy in
                proxy.onMessage { message in
                    switch message.index {
                    case 1: .drop
                    case 2: .duplicate
                    case 4: .swapWithNext
                    case 6: .delay(.milliseconds(50))
                    default: .forward
                    }
                }
                try await LoopGroup.withLoops(count: 1) { group in
                    try await withSubscriber(try NotifierFixture.configuration(proxy.url), on: group.loops[0]) { batches in
                        for revision in Int64(0)...8 {
                            try await redis.command("PUBLISH", "change-notifier", Self.text(NotifierFixture.change(revision + 1)))
                        }
                        let revisions = try await batches.messages(9).map { $0.revision - 1 }
                        #expect(revisions.filter { $0 != 6 } == [0, 2, 2, 3, 5, 4, 7, 8])
                        #expect(revisions.count { $0 == 6 } == 1)
                    }
                }
                proxy.refuse(true)
                try await LoopGroup.withLoops(count: 1) { group in
                    try await withSubscriber(try NotifierFixture.configuration(proxy.url), on: group.loops[0], waits: false) { batches in
                        proxy.refuse(false)
                        try await batches.until("the subscription") { $0.joined().contains(.connected) }
                        #expect(batches.flat == [.connected])
                    }
                }
                _ = try await eventually("the end of all connections") { try await proxy.connections() == 0 ? true : nil }
            }
        }
    }
}
