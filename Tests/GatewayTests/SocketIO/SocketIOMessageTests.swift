// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Gateway
import Store
import Testing
import Wire

@Suite struct SocketIOMessageTests {
    private func read(_ text: String) throws -> SocketIOMessage {
        try SocketIOMessage(parsing: [UInt8](text.utf8).span)
    }

    @Test func packetsOfEngineIO() throws {
        #expect(try read("1") == .close)
        #expect(try read("2probe") == .ping([UInt8]("probe".utf8)))
        #expect(try read("3") == .pong)
        #expect(try read("5") == .nothing && read("6") == .nothing)
        #expect(throws: SocketIOFault.unknownEnginePacket) { try read("0{}") }
    }

    @Test func namespaces() throws {
        #expect(try read("40") == .connect(namespace: "/"))
        #expect(try read("40/change-notifier,") == .connect(namespace: "/change-notifier"))
        #expect(try read(#"40/change-notifier,{"token":"x"}"#) == .connect(namespace: "/change-notifier"))
        #expect(try read("41/change-notifier,") == .disconnect(namespace: "/change-notifier"))
        #expect(throws: SocketIOFault.unknownPacket) { try read(#"44{"message":"no"}"#) }
    }

    @Test func registrations() throws {
        let slugs = #"{"workspaceSlug":"acme","projectSlug":"web","environmentSlug":"production","extra":[1,{}]}"#
        let path = try EnvironmentPath(parsing: "acme/web/production")
        #expect(try read(#"42/change-notifier,["register-client-app",\#(slugs)]"#) == .register(path, ackID: nil))
        #expect(try read(#"42/change-notifier,31["register-client-app",\#(slugs)]"#) == .register(path, ackID: 31))
        // Of another namespace it is another event.
        #expect(try read(#"42["register-client-app",\#(slugs)]"#) == .other(namespace: "/"))
        #expect(try read(#"42/change-notifier,["hello"]"#) == .other(namespace: "/change-notifier"))
        #expect(try read("43/change-notifier,1[]") == .other(namespace: "/change-notifier"))
    }

    @Test(
        arguments: [
            #"["register-client-app"]"#, #"["register-client-app",null]"#, #"["register-client-app",{}]"#,
            #"["register-client-app",{"workspaceSlug":"acme","projectSlug":"web"}]"#,
            #"["register-client-app",{"workspaceSlug":1,"projectSlug":"web","environmentSlug":"production"}]"#,
            #"["register-client-app",{"workspaceSlug":"A B","projectSlug":"web","environmentSlug":"production"}]"#,
        ]
    )
    func registrationsThatNameNoEnvironment(json: String) throws {
        guard case .misregister(let reason, let ackID) = try read("42/change-notifier,7\(json)") else {
            Issue.record("\(json) is taken")
            return
        }
        #expect(!reason.isEmpty && ackID == 7)
    }

    @Test(arguments: ["[", "[1]", "[]", "[null,2]", #"["a"] x"#, #"["a",{"b":1,"b":2}]"#])
    func eventsThatAreNone(json: String) {
        #expect(throws: SocketIOFault.badPayload) { try read("42/change-notifier,\(json)") }
    }
}
