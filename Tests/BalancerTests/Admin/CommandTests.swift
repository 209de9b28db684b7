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
}
