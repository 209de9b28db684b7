// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Logging
import Telemetry
import Testing

@Suite("Log lines")
struct LogHandlerTests {
    private struct Refused: Error, CustomStringConvertible {
        var description: String { "connection refused" }
    }

    private static let moment = LogTime(secondsSince1970: 1_767_225_599, milliseconds: 7)

    @Test("are one JSON object each, in a fixed order")
    func json() throws {
        let lines = try Self.lines { output in
            var logger = Logger(label: "keyvane.api") { label in
                JSONLogHandler(label: label, output: output, level: .debug, now: { Self.moment })
            }
            logger[metadataKey: "role"] = "api"
            logger.info("request served", metadata: ["status": "\(200)", "route": "/v1/watch"])
            logger.trace("below the level")
        }
        let time = #""time":"2025-12-31T23:59:59.007Z""#
        #expect(
            lines == [
                "{\(time),"
                    + #""level":"info","logger":"keyvane.api","message":"request served","role":"api","route":"/v1/watch","status":"200"}"#
            ]
        )
    }

    @Test("hold whatever is logged without breaking")
    func jsonEscapes() throws {
        let nasty = "a\"b\\c\nd\re\tf\u{0}g\u{1B}[31mh\u{7F}ä\u{2028}😀"
        let lines = try Self.lines { output in
            let logger = Logger(label: "l\"x") { JSONLogHandler(label: $0, output: output) }
            logger.error(
                "\(nasty)",
                metadata: [
                    "k\n\"": "\(nasty)", "message": "forged", "level": "forged",
                    "deep": ["inner": ["x": "1"], "list": ["a", "b"]],
                ]
            )
            logger.error("failed", error: Refused())
        }
        #expect(lines.count == 2)
        let first = try Self.object(lines[0])
        #expect(first["message"] == nasty)
        #expect(first["k\n\""] == nasty)
        #expect(first["logger"] == "l\"x")
        #expect(first["level"] == "error")
        #expect(first["metadata.message"] == "forged")
        #expect(first["metadata.level"] == "forged")
        #expect(first["deep.inner.x"] == "1")
        #expect(first["deep.list"]?.contains("a") == true)
        #expect(lines[0].utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F })
        #expect(try Self.object(lines[1])["error"] == "connection refused")
    }

    @Test("the event's metadata wins over the provider's, and that over the logger's")
    func precedence() throws {
        let lines = try Self.lines { output in
            var logger = Logger(label: "x") { label in
                JSONLogHandler(
                    label: label,
                    output: output,
                    metadataProvider: Logger.MetadataProvider { ["a": "provider", "b": "provider"] }
                )
            }
            logger[metadataKey: "a"] = "logger"
            logger[metadataKey: "c"] = "logger"
            logger.info("m", metadata: ["b": "event"])
        }
        let fields = try Self.object(#require(lines.first))
        #expect(fields["a"] == "provider")
        #expect(fields["b"] == "event")
        #expect(fields["c"] == "logger")
    }

    @Test("for a terminal are readable and can't steer it")
    func text() throws {
        let lines = try Self.lines { output in
            let logger = Logger(label: "api") { TextLogHandler(label: $0, color: false, output: output, now: { Self.moment }) }
            logger.warning("slow\u{1B}[2J", metadata: ["a": "1", "b": "two words", "c": "", "d": "x\n\"y\u{9B}"])
            let colored = Logger(label: "api") { TextLogHandler(label: $0, color: true, output: output, now: { Self.moment }) }
            colored.error("no", metadata: ["k": "v"])
        }
        #expect(
            lines == [
                #"2025-12-31T23:59:59.007Z warning  api: slow\u{1b}[2J a=1 b="two words" c="" d="x\n\"y\u{9b}""#,
                "\u{1B}[2m2025-12-31T23:59:59.007Z\u{1B}[0m \u{1B}[31merror   \u{1B}[0m api: no \u{1B}[2mk=\u{1B}[0mv",
            ]
        )
    }

    @Test("of many threads are never torn, and long ones come whole through a full pipe")
    func concurrent() async throws {
        let pipe = Pipe()
        // A non-blocking pipe takes a long line only in parts.
        let descriptor = pipe.fileHandleForWriting.fileDescriptor
        try #require(fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK) == 0)
        let output = LogOutput(descriptor: descriptor)
        // The group below waits for this reader; it ends when the writing end is closed.
        async let text = Self.readAll(pipe)
        await withTaskGroup(of: Void.self) { group in
            for worker in 0..<4 {
                group.addTask {
                    let logger = Logger(label: "w\(worker)") { JSONLogHandler(label: $0, output: output) }
                    for round in 0..<50 {
                        logger.info("m", metadata: ["fill": "\(String(repeating: "x", count: round * 4_000))"])
                    }
                }
            }
        }
        try pipe.fileHandleForWriting.close()
        let lines = await text.split(separator: "\n")
        #expect(lines.count == 200)
        #expect(output.linesLost == 0)
        for line in lines { #expect(throws: Never.self) { try Self.object(String(line)) } }
    }

    @Test("to a reader that has gone are counted as lost")
    func lost() {
        let output = LogOutput(descriptor: -1)
        Logger(label: "x") { JSONLogHandler(label: $0, output: output) }.info("m")
        #expect(output.linesLost == 1)
    }

    @Test(
        "carry the time as RFC 3339 in UTC",
        arguments: [
            (0, 0, "1970-01-01T00:00:00.000Z"), (951_782_400, 999, "2000-02-29T00:00:00.999Z"),
            (4_102_444_799, 50, "2099-12-31T23:59:59.050Z"),
        ]
    )
    func time(seconds: Int, milliseconds: Int, text: String) {
        #expect(LogTime(secondsSince1970: seconds, milliseconds: milliseconds).description == text)
    }

    private static func lines(_ body: (LogOutput) -> Void) throws -> [String] {
        let pipe = Pipe()
        body(LogOutput(descriptor: pipe.fileHandleForWriting.fileDescriptor))
        try pipe.fileHandleForWriting.close()
        let text = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        #expect(text.hasSuffix("\n"))
        return text.split(separator: "\n").map(String.init)
    }

    /// Reads on a thread of its own: the writers may occupy all threads of the concurrency pool while the pipe is full.
    private static func readAll(_ pipe: Pipe) async -> String {
        await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                let data = pipe.fileHandleForReading.readDataToEndOfFile()
                continuation.resume(returning: String(decoding: data, as: UTF8.self))
            }
        }
    }

    @discardableResult
    private static func object(_ line: String) throws -> [String: String] {
        try JSONDecoder().decode([String: String].self, from: Data(line.utf8))
    }
}
