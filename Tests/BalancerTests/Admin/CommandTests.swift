// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Foundation
import Reactor
import TestSupport
import Testing

/// The admin socket.
@Suite struct CommandTests {
    @Test(arguments: [
        ("show stat", [["show", "stat"]]), ("  show   stat  ", [["show", "stat"]]), ("", [[]]), ("a;b", [["a"], ["b"]]),
        ("a ; ; b", [["a"], [], ["b"]]), ("a\\;b c", [["a;b", "c"]]), ("a\\ b", [["a b"]]), ("a\\\\b", [["a\\b"]]), ("a\r", [["a"]]),
        ("set server web/x state\tdrain;", [["set", "server", "web/x", "state", "drain"], []]),
    ])
    func linesAreCommandsAndWords(_ line: String, _ commands: [[String]]) {
        #expect(CommandLine(line).commands == commands)
    }

    @Test(arguments: [
        ("0", 0), ("256", 256), ("20", 20), ("+5", 5), ("50%", 5), ("300%", 30), ("9999%", 256), ("0%", 0),
    ])
    func weightsAreRead(_ text: String, _ weight: Int) throws {
        #expect(try WeightText.read(text, configured: 10).get() == weight)
    }

    @Test func theSocketIsForItsGroup() async throws {
        try await BalancerFixture.withSocket { fixture, path in
            let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
            #expect(mode == 0o660)
            #expect(try await fixture.command("show servers state\n", at: path).hasPrefix("1\n# be_id be_name srv_id srv_name srv_addr "))
        }
    }

    @Test func statesAreSetAndShown() async throws {
        try await BalancerFixture.withSocket { fixture, path in
            for (state, administrative) in [("drain", "8"), ("maint", "1"), ("ready", "0")] {
                #expect(try await fixture.command("set server web/web-2 state \(state)\n", at: path) == "\n")
                let lines = try await fixture.command("show servers state web\n", at: path).split(separator: "\n")
                let fields = lines[3].split(separator: " ").map(String.init)
                #expect(fields.count == 25 && fields[1] == "web" && fields[3] == "web-2" && fields[6] == administrative)
            }
            #expect(try await fixture.command("set server web/web-2 weight 42\n", at: path) == "\n")
            let stat = try await fixture.command("show stat web 4 -1\n", at: path)
            #expect(stat.hasPrefix("# pxname,svname,") && stat.hasSuffix(",\n\n") && stat.split(separator: "\n").count == 3)
            #expect(try await fixture.ask("GET", "/v1/servers/web/web-2").text.contains("\"weight\":42,"))
        }
    }

    /// A script that asks for one form and gets another would misread it.
    @Test func otherFormsAreRefusedInALine() async throws {
        try await BalancerFixture.withSocket { fixture, path in
            for line in [
                "show stat typed", "show stat json", "show stat desc", "show stat web 4 -1 json", "show info typed", "show info json",
                "show info desc", "show stat domain dns", "show stat domain",
            ] {
                let answer = try await fixture.command("\(line)\n", at: path)
                #expect(answer.hasSuffix(".\n\n") && answer.split(separator: "\n").count == 1, "\(line): \(answer)")
                #expect(answer.contains(line.contains("domain") ? "Invalid domain" : "is not offered here"), "\(line): \(answer)")
            }
            let rows = try await fixture.command("show stat domain proxy web 4 -1\n", at: path)
            #expect(rows.hasPrefix("# pxname,") && rows.split(separator: "\n").count == 3)
        }
    }

    @Test func sessionsAndPrompts() async throws {
        try await BalancerFixture.withSocket { fixture, path in
            let missing = "Can't find backend.\n\n"
            // Several commands a line, several lines at once; then it is over.
            #expect(try await fixture.command("show servers state x; show servers state y\n", at: path) == missing + missing)
            #expect(try await fixture.command("show servers state x\nshow servers state y\n", at: path) == missing + missing)
            #expect(try await fixture.command("quit; show servers state x\n", at: path) == "")
            #expect(try await fixture.command("show servers state x; quit; show stat\n", at: path) == missing)
            #expect(try await fixture.command("prompt; show servers state x; quit\n", at: path) == "\n> Can't find backend.\n\n> ")
            #expect(try await fixture.command(String(repeating: "x", count: 20_000), at: path) == "")
            // With a prompt it stays.
            let client = try await TestClient.connect(to: .unix(path), on: fixture.outer.loops[0])
            client.send("prompt\n")
            #expect(try await client.bytes(3) == Array("\n> ".utf8))
            client.send("show servers ")
            client.send("state x\n")
            let answer = "Can't find backend.\n\n> "
            #expect(try await client.bytes(answer.utf8.count) == Array(answer.utf8))
            client.send("quit\n")
            #expect(try await client.untilEnd().isEmpty)
        }
    }

    @Test func aStaleSocketIsReplacedAndOursIsRemoved() async throws {
        let folder = try TemporaryFolder("kv-admin")
        defer { folder.remove() }
        let path = folder.path + "/admin.sock"
        for _ in 0..<2 {
            try await BalancerFixture.with(configure: { $0.admin?.socket = path }) { fixture in
                let info = try await fixture.command("show info\n", at: path)
                #expect(info.hasPrefix("Name: "))
            }
            #expect(!FileManager.default.fileExists(atPath: path))
        }
    }

    @Test func aSuccessorTakesTheSocketAndKeepsIt() async throws {
        let folder = try TemporaryFolder("kv-admin")
        defer { folder.remove() }
        let path = folder.path + "/admin.sock"
        let steps = Events<Step>()
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask {
                try await BalancerFixture.with([("old", "old-1")], configure: { $0.admin?.socket = path }) { fixture in
                    #expect(try await fixture.command("show servers state old\n", at: path).contains(" old-1 "))
                    steps.emit(.first)
                    try await steps.until("the successor") { $0.contains(.second) }
                }
                steps.emit(.firstEnded)
            }
            tasks.addTask {
                try await steps.until("the first balancer") { $0.contains(.first) }
                try await BalancerFixture.with([("new", "new-1")], configure: { $0.admin?.socket = path }) { fixture in
                    #expect(try await fixture.command("show servers state new\n", at: path).contains(" new-1 "))
                    steps.emit(.second)
                    try await steps.until("the end of the first") { $0.contains(.firstEnded) }
                    // It has left what isn't its own.
                    #expect(try await fixture.command("show servers state new\n", at: path).contains(" new-1 "))
                }
            }
            // The first failure ends the other one's waiting.
            for try await _ in tasks {}
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
    }

    private enum Step: Sendable {
        case first, second, firstEnded
    }

    @Test func whatIsNoSocketStays() async throws {
        let folder = try TemporaryFolder("kv-admin")
        defer { folder.remove() }
        let path = folder.path + "/admin.sock"
        try "a note".write(toFile: path, atomically: true, encoding: .utf8)
        let error = await #expect(throws: BalancerError.self) {
            try await BalancerFixture.with(configure: { $0.admin?.socket = path }) { _ in }
        }
        #expect(error?.code == .listenFailed && error?.message.contains("a file that is no socket stands there") == true)
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "a note")
    }
}
