// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Testing
import Wire

struct RESPOutcome: Equatable {
    var values: [RESPValue] = []
    var fault: String?
}

/// Through `feed` and `next`.
func respOutcome(_ bytes: [UInt8], limits: RESPLimits = RESPLimits(), plan: [Int]) -> RESPOutcome {
    var outcome = RESPOutcome()
    guard let reader = RESPReader(limits: limits) else { return RESPOutcome(fault: "no reader") }
    var start = 0
    do throws(RESPFault) {
        for end in plan {
            try reader.feed(bytes.span.extracting(start..<end))
            while let value = try reader.next() { outcome.values.append(value) }
            start = end
        }
    } catch {
        outcome.fault = error.code
    }
    return outcome
}

/// Through `read`, with its messages turned back into the arrays they were.
func respReadOutcome(_ bytes: [UInt8], plan: [Int]) -> RESPOutcome {
    var outcome = RESPOutcome()
    guard let reader = RESPReader() else { return RESPOutcome(fault: "no reader") }
    var start = 0
    do throws(RESPFault) {
        for end in plan {
            var values: [RESPValue] = []
            defer { outcome.values += values }
            try reader.read(bytes.span.extracting(start..<end)) { channel, payload in
                values.append(.array([.bulk([UInt8]("message".utf8)), .bulk(channel.array()), .bulk(payload.array())]))
            } reply: { value in
                values.append(value)
            }
            start = end
        }
    } catch {
        outcome.fault = error.code
    }
    return outcome
}

@Suite struct RESPReaderTests {
    private func outcomes(_ text: String) -> [RESPOutcome] {
        let bytes = [UInt8](text.utf8)
        return Feeding.results(of: bytes) { respOutcome(bytes, plan: $0) }
    }

    private static func bulk(_ text: String) -> RESPValue { .bulk([UInt8](text.utf8)) }

    @Test(
        arguments: [
            ("+OK\r\n", [.simple("OK")]), ("+\r\n", [.simple("")]), ("-ERR no\r\n", [.error("ERR no")]), (":42\r\n", [.integer(42)]),
            (":-9223372036854775808\r\n", [.integer(.min)]), (":9223372036854775807\r\n", [.integer(.max)]),
            ("$5\r\nhello\r\n", [bulk("hello")]),
            ("$0\r\n\r\n", [bulk("")]), ("$4\r\n\r\n\r\n\r\n", [bulk("\r\n\r\n")]), ("$-1\r\n", [.null]), ("*-1\r\n", [.null]),
            ("*0\r\n", [.array([])]), ("*2\r\n:1\r\n$1\r\na\r\n", [.array([.integer(1), bulk("a")])]),
            ("*3\r\n*0\r\n*2\r\n+a\r\n*1\r\n$-1\r\n-b\r\n", [.array([.array([]), .array([.simple("a"), .array([.null])]), .error("b")])]),
            ("+a\r\n+b\r\n*1\r\n:1\r\n:2\r\n", [.simple("a"), .simple("b"), .array([.integer(1)]), .integer(2)]),
            (
                "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:7\r\n",
                [.array([.array([.array([.array([.array([.array([.array([.integer(7)])])])])])])])]
            ),
        ] as [(String, [RESPValue])]
    )
    func readsWhateverTheCut(text: String, values: [RESPValue]) {
        #expect(outcomes(text) == [RESPOutcome(values: values)])
    }

    @Test(arguments: ["", "+OK", "+OK\r", "$5\r\nhell", "*2\r\n:1\r\n", "*1\r\n", "$"])
    func whatIsCutOffIsNotThereYet(text: String) {
        #expect(outcomes(text) == [RESPOutcome()])
    }

    @Test(arguments: ["?\r\n", "HTTP/1.1 400 Bad Request\r\n", "\0\0\0", ":1x\r\n", ":\r\n", "$x\r\n", "$-2\r\n", "*-2\r\n", "*x\r\n"])
    func garbageIsAFault(text: String) {
        #expect(outcomes(text) == [RESPOutcome(fault: "redis_protocol")])
        #expect(outcomes("+OK\r\n" + text) == [RESPOutcome(values: [.simple("OK")], fault: "redis_protocol")])
    }

    @Test func aFaultIsFinal() throws {
        let reader = try #require(RESPReader())
        try reader.feed([UInt8]("?".utf8))
        #expect(throws: RESPFault.self) { try reader.next() }
        #expect(throws: RESPFault.self) { try reader.feed([UInt8]("+OK\r\n".utf8)) }
        #expect(throws: RESPFault.self) { try reader.next() }
    }

    /// An announced length takes no memory; what came in counts against the limit.
    @Test func hugeLengthsAreRefused() {
        func fault(_ text: String, _ limits: RESPLimits = RESPLimits(bytes: 1000, elements: 100, depth: 3)) -> String? {
            respOutcome([UInt8](text.utf8), limits: limits, plan: [text.utf8.count]).fault
        }
        #expect(fault("*2147483647\r\n") == "redis_reply_too_large")
        #expect(fault("*101\r\n") == "redis_reply_too_large")
        #expect(fault("*100\r\n") == nil)
        #expect(fault("*2\r\n*50\r\n" + String(repeating: ":1\r\n", count: 50) + "*49\r\n") == "redis_reply_too_large")
        #expect(fault("*1\r\n*1\r\n*1\r\n:1\r\n") == nil)
        #expect(fault("*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n") == "redis_reply_too_large")
        #expect(fault(String(repeating: "*1\r\n", count: 1000), RESPLimits()) != nil)
        #expect(fault("$2000000000\r\n" + String(repeating: "x", count: 900)) == nil)
        #expect(fault("$2000000000\r\n" + String(repeating: "x", count: 1000)) == "redis_reply_too_large")
        #expect(fault("*3\r\n$900\r\n" + String(repeating: "x", count: 900) + "\r\n$200\r\n" + String(repeating: "x", count: 150)) != nil)
        #expect(fault("+" + String(repeating: "x", count: 1001)) == "redis_reply_too_large")
        #expect(fault("$99999999999999999999999\r\n") == "redis_protocol")
        // Complete replies may add up to more than one may have.
        #expect(fault(String(repeating: "$100\r\n" + String(repeating: "x", count: 100) + "\r\n", count: 50)) == nil)
    }

    @Test func manyRepliesInOneRead() {
        let count = 5_000
        let bytes = [UInt8]((0..<count).map { ":\($0)\r\n$3\r\nabc\r\n" }.joined().utf8)
        let values: [RESPValue] = (0..<count).flatMap { [.integer(Int64($0)), Self.bulk("abc")] }
        #expect(respOutcome(bytes, plan: [bytes.count]).values == values)
        #expect(respReadOutcome(bytes, plan: [bytes.count]).values == values)
    }
}

@Suite struct RESPMessageTests {
    private static func message(_ channel: String, _ payload: String) -> String {
        "*3\r\n$7\r\nmessage\r\n$\(channel.utf8.count)\r\n\(channel)\r\n$\(payload.utf8.count)\r\n\(payload)\r\n"
    }

    @Test(
        arguments: [
            message("change-notifier", "{\"revision\":58}"),
            message("", ""),
            message("c", "\r\n*3\r\n$7\r\nmessage\r\n"),
            "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n" + message("c", "1") + message("c", "2") + "+PONG\r\n" + message("d", "3"),
            "*2\r\n$4\r\npong\r\n$0\r\n\r\n" + message("c", "é"),
            "*3\r\n$8\r\nmessage!\r\n$1\r\nc\r\n$1\r\np\r\n",
            "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n:1\r\n" + message("c", "1"),
            "*3\r\n$7\r\nmessage\r\n$-1\r\n$1\r\nc\r\n" + message("c", "1"),
            "*3\r\n$7\r\nmessage\r\n$01\r\nc\r\n$1\r\np\r\n",
            "*3\r\n$7\r\nmessage\r\n$x\r\nc\r\n",
            "*3\r\n$7\r\nmessage\r\n$1\r\ncXX$1\r\np\r\n",
            "?" + message("c", "1"),
        ]
    )
    func theFastPathReadsWhatTheReaderReads(text: String) {
        let bytes = [UInt8](text.utf8)
        let expected = respOutcome(bytes, plan: [bytes.count])
        #expect(Feeding.results(of: bytes) { respReadOutcome(bytes, plan: $0) } == [expected])
    }

    @Test func messagesAndRepliesKeepTheirOrder() throws {
        let reader = try #require(RESPReader())
        let text = Self.message("a", "1") + ":1\r\n" + Self.message("b", "2") + ":2\r\n"
        var seen: [String] = []
        try reader.read([UInt8](text.utf8).span) { channel, payload in
            seen.append("\(channel.string())=\(payload.string())")
        } reply: { value in
            seen.append("\(value.integer ?? 0)")
        }
        #expect(seen == ["a=1", "1", "b=2", "2"])
    }
}

@Suite struct RESPCommandTests {
    @Test func encodes() {
        #expect(String(decoding: RESPCommand.encode("SET", "k", "é"), as: UTF8.self) == "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2\r\né\r\n")
        #expect(RESPCommand.encode([[UInt8]]()) == [UInt8]("*0\r\n".utf8))
        #expect(RESPCommand.encode(["PING"]) == [UInt8]("*1\r\n$4\r\nPING\r\n".utf8))
    }

    /// A command is RESP itself, so the reader must give its arguments back.
    @Test func roundTrip() {
        let arguments: [[UInt8]] = [[], [0], Array("a\r\n$1\r\n".utf8), (0...255).map { UInt8($0) }, [UInt8](repeating: 7, count: 100_000)]
        var bytes: [UInt8] = []
        RESPCommand.append(arguments, to: &bytes)
        RESPCommand.append(arguments, to: &bytes)
        let value = RESPValue.array(arguments.map { .bulk($0) })
        #expect(respOutcome(bytes, plan: [100, bytes.count]).values == [value, value])
    }

    @Test func accessors() {
        #expect(RESPValue.simple("a").string == "a" && RESPValue.bulk([0x62]).string == "b" && RESPValue.null.string == nil)
        #expect(RESPValue.integer(3).integer == 3 && RESPValue.null.integer == nil)
        #expect(RESPValue.array([.null]).array == [.null] && RESPValue.null.array == nil)
    }
}
