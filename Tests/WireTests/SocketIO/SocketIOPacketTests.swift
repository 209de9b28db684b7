// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Testing
import Wire

@Suite struct SocketIOPacketTests {
    /// An Engine.IO message's Socket.IO packet as one line of text.
    private func read(_ text: String) throws(SocketIOFault) -> String {
        let bytes = [UInt8](text.utf8)
        let outer = try EngineIOPacket(parsing: bytes.span)
        guard outer.kind == .message else { return "\(outer.kind) \(bytes.text(outer.payload))" }
        let packet = try SocketIOPacket(parsing: outer.payload, in: bytes.span)
        let namespace = packet.namespace.map { bytes.text($0) } ?? "/"
        return "\(packet.kind) \(namespace) \(packet.ackID.map(String.init) ?? "-") \(bytes.text(packet.json))"
    }

    @Test(
        arguments: [
            ("0{}", "open {}"), ("1", "close "), ("2", "ping "), ("2probe", "ping probe"), ("3", "pong "), ("5", "upgrade "),
            ("6", "noop "),
            ("40", "connect / - "), ("40{\"token\":\"x\"}", "connect / - {\"token\":\"x\"}"),
            ("40/change-notifier,", "connect /change-notifier - "), ("40/change-notifier", "connect /change-notifier - "),
            ("40/change-notifier,{\"a\":1}", "connect /change-notifier - {\"a\":1}"), ("41", "disconnect / - "),
            ("41/change-notifier,", "disconnect /change-notifier - "), ("42[\"a\"]", "event / - [\"a\"]"),
            ("4212[\"a\"]", "event / 12 [\"a\"]"), ("42/x,0[\"a\",{\"b\":\",\"}]", "event /x 0 [\"a\",{\"b\":\",\"}]"),
            ("42/x,999999999999999[]", "event /x 999999999999999 []"), ("43/x,7[]", "acknowledgement /x 7 []"),
            ("44{\"message\":\"no\"}", "connectError / - {\"message\":\"no\"}"), ("44/x,\"no\"", "connectError /x - \"no\""),
            ("40/,", "connect / - "),
        ]
    )
    func reads(text: String, packet: String) throws {
        #expect(try read(text) == packet)
    }

    @Test(
        arguments: [
            ("", SocketIOFault.emptyPacket), ("4", .emptyPacket), ("7", .unknownEnginePacket), ("x", .unknownEnginePacket),
            ("b4", .unknownEnginePacket), ("47", .unknownPacket), ("4x", .unknownPacket), ("4{", .unknownPacket),
            ("45", .binaryPacket), ("451-[\"a\",{\"_placeholder\":true,\"num\":0}]", .binaryPacket), ("461-7[]", .binaryPacket),
            ("42", .badPayload), ("42{}", .badPayload), ("42/x", .badPayload), ("42/x,", .badPayload), ("42/x,1", .badPayload),
            ("42\"a\"", .badPayload), ("42 [\"a\"]", .badPayload), ("41{}", .badPayload), ("411", .badPayload), ("40[]", .badPayload),
            ("401{}", .badPayload), ("40true", .badPayload), ("43[]", .badPayload), ("431{}", .badPayload), ("44", .badPayload),
            ("44[]", .badPayload), ("421-[]", .badPayload), ("42-1[]", .badPayload), ("421000000000000000[]", .badAckID),
        ]
    )
    func refuses(text: String, fault: SocketIOFault) {
        #expect(throws: fault) { try read(text) }
    }

    @Test func namespacesHaveALimit() throws {
        let longest = "/" + String(repeating: "n", count: SocketIOPacket.namespaceLimit - 1)
        #expect(try read("40\(longest),") == "connect \(longest) - ")
        #expect(throws: SocketIOFault.namespaceTooLong) { try read("40\(longest)n,") }
    }

    @Test func namespacesAreCompared() throws {
        func isIn(_ text: String, _ name: StaticString) throws -> Bool {
            let bytes = [UInt8](text.utf8)
            return try SocketIOPacket(parsing: 1..<bytes.count, in: bytes.span).isIn(name, of: bytes.span)
        }
        #expect(try isIn("40", "/") && isIn("40/,", "/") && isIn("40/change-notifier,", "/change-notifier"))
        #expect(try !isIn("40", "/x") && !isIn("40/change-notifiers,", "/change-notifier") && !isIn("40/x", "/"))
    }

    @Test(arguments: SocketIOFault.allCases)
    func everyFaultFitsACloseReason(fault: SocketIOFault) {
        #expect(fault.message.utf8.count <= 123 && fault.code.allSatisfy { $0.isLowercase || $0 == "_" })
    }

    // MARK: Writing

    private func texts(_ write: (inout [UInt8]) -> Void) -> [String] {
        var out: [UInt8] = []
        write(&out)
        return webSocketOutcome(out).events
    }

    @Test func writesWhatAServerSays() {
        let notifier = "/change-notifier"
        #expect(
            texts { SocketIOFrame.appendOpen(sid: "a\"b", pingInterval: 25_000, pingTimeout: 20_000, maxPayload: 1_000_000, to: &$0) }
                == [#"text 0{"sid":"a\"b","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#]
        )
        let all = texts {
            SocketIOFrame.append(.ping, to: &$0)
            SocketIOFrame.append(.pong, payload: [UInt8]("probe".utf8), to: &$0)
            SocketIOFrame.append(.close, to: &$0)
            SocketIOFrame.appendConnected(namespace: notifier, sid: "s1", to: &$0)
            SocketIOFrame.appendConnected(namespace: "/", sid: "s2", to: &$0)
            SocketIOFrame.appendConnectError(namespace: "/other", message: "Invalid \"namespace\"", to: &$0)
            SocketIOFrame.appendEvent("client-registered", [UInt8](#"{"success":true}"#.utf8), namespace: notifier, to: &$0)
            SocketIOFrame.appendAcknowledgement(12, [UInt8](#"{"success":true}"#.utf8), namespace: notifier, to: &$0)
            SocketIOFrame.append(.disconnect, namespace: notifier, to: &$0)
        }
        #expect(
            all == [
                "text 2", "text 3probe", "text 1", #"text 40/change-notifier,{"sid":"s1"}"#, #"text 40{"sid":"s2"}"#,
                #"text 44/other,{"message":"Invalid \"namespace\""}"#, #"text 42/change-notifier,["client-registered",{"success":true}]"#,
                #"text 43/change-notifier,12[{"success":true}]"#, "text 41/change-notifier,",
            ]
        )
    }

    /// A client's packets, masked, are what the parser reads.
    @Test func writesWhatAClientSays() throws {
        var out: [UInt8] = []
        SocketIOFrame.append(.connect, namespace: "/change-notifier", mask: 0x0102_0304, to: &out)
        let argument = [UInt8](#"{"workspaceSlug":"a"}"#.utf8)
        SocketIOFrame.appendEvent("register-client-app", argument, namespace: "/change-notifier", ackID: 3, mask: 0x0A0B_0C0D, to: &out)
        SocketIOFrame.append(.pong, mask: 1, to: &out)
        let packets = try webSocketOutcome(out, role: .server).events.map { try read(String($0.dropFirst(5))) }
        #expect(
            packets == [
                "connect /change-notifier - ", #"event /change-notifier 3 ["register-client-app",{"workspaceSlug":"a"}]"#, "pong ",
            ]
        )
    }
}
