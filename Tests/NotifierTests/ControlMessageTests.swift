// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Notifier
import Testing

@Suite("A control message")
struct ControlMessageTests {
    private static let all: [(String, ControlMessage)] = [
        ("control-token-revoked.json", .tokenRevoked(tokenID: "ab12cd34", sequence: 57)),
        ("control-token-revoked-unnumbered.json", .tokenRevoked(tokenID: "ab12cd34")),
        ("control-token-changed.json", .tokenChanged(tokenID: "ab12cd34", sequence: 58)),
        ("control-instance-drain.json", .instanceDrain(InstanceOrder(role: .gateway, name: "gateway-1", at: 1_795_229_306_123))),
        ("control-instance-ready.json", .instanceReady(InstanceOrder(role: .gateway, name: "gateway-1", at: 1_795_229_306_124))),
        ("control-environment-deleted.json", .environmentDeleted(environmentID: NotifierFixture.environmentID)),
    ]

    private static func decode(_ text: String) -> (message: ControlMessage, isTrusted: Bool)? {
        ControlMessage.decode(Array(text.utf8).span, NotifierFixture.authenticator)
    }

    @Test("is the golden text", arguments: all.indices)
    func golden(index: Int) throws {
        let (file, message) = Self.all[index]
        let text = String(decoding: message.encoded(NotifierFixture.authenticator), as: UTF8.self)
        #expect(text == (try NotifierFixture.golden(file)))
        let decoded = try #require(Self.decode(text))
        #expect(decoded.message == message && decoded.isTrusted)
    }

    @Test(
        "without a valid code of its own is read, and not trusted",
        arguments: [
            #"{"type":"token-revoked","tokenId":"x"}"#,
            #"{"type":"token-revoked","tokenId":"x","mac":"00"}"#,
            #"{"type":"token-revoked","tokenId":"x","sequence":"many","mac":"00"}"#,
            #"{"type":"environment-deleted","environmentId":"x","mac":"","more":"x"}"#,
        ]
    )
    func untrusted(text: String) throws {
        #expect(try #require(Self.decode(text)).isTrusted == false)
    }

    @Test("can't borrow another's code, nor carry more than its code covers")
    func tampered() throws {
        let text = try NotifierFixture.golden("control-token-revoked.json")
        #expect(Self.decode(text.replacing("ab12cd34", with: "ab12cd35"))?.isTrusted == false)
        for number in ["58", "", "x"] {
            #expect(Self.decode(text.replacing("\"57\"", with: "\"\(number)\""))?.isTrusted == false)
        }
        let unnumbered = try NotifierFixture.golden("control-token-revoked-unnumbered.json")
        #expect(Self.decode(unnumbered.dropLast() + #","sequence":"57"}"#)?.isTrusted == false)
        #expect(Self.decode(unnumbered.dropLast() + #","sequence":"x"}"#)?.isTrusted == false)
        // A code for one thing is none for another.
        #expect(Self.decode(text.replacing("token-revoked", with: "token-changed"))?.isTrusted == false)
        #expect(Self.decode(text.dropLast() + #","environmentId":"x"}"#)?.isTrusted == false)
        let drain = try NotifierFixture.golden("control-instance-drain.json")
        for (old, new) in [("1795229306123", "1795229306124"), ("\"gateway\"", "\"api\""), ("gateway-1", "gateway-2"), ("drain", "ready")] {
            let decoded = try #require(Self.decode(drain.replacing(old, with: new)))
            #expect(!decoded.isTrusted, "\(new)")
        }
    }

    @Test(
        "that can't be read is none",
        arguments: [
            #"{"type":"instance-drain","name":"x"}"#, #"{"type":"instance-drain","role":"chef","name":"x","at":"1"}"#,
            #"{"type":"instance-drain","role":"api","name":"x","at":"soon"}"#, "", "{}", #"{"type":"dance"}"#, #"{"type":"token-revoked"}"#,
            #"{"type":"token-revoked","tokenId":7}"#,
            #"{"type":"token-revoked","type":"token-revoked","tokenId":"x"}"#,
            #"{"type":"token-revoked","tokenId":"x"}}"#, String(repeating: " ", count: 5_000) + #"{"type":"token-revoked","tokenId":"x"}"#,
        ]
    )
    func unreadable(text: String) {
        #expect(Self.decode(text) == nil)
    }
}
