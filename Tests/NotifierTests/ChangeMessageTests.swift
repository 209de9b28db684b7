// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Notifier
import Testing

@Suite("A change on the channel")
struct ChangeMessageTests {
    private static let authenticator = NotifierFixture.authenticator

    private static func decode(_ text: [UInt8]) -> DecodedChange { ChangeMessage.decode(text.span, authenticator) }
    private static func decode(_ text: String) -> DecodedChange { decode(Array(text.utf8)) }

    private static var sealed: ChangeMessage {
        var message = NotifierFixture.change(59, name: "API_KEY", value: "sealed:v1:q83vEjRWeJA=", first: 58, last: 59)
        message.isSecret = true
        return message
    }

    private static let all: [(String, ChangeMessage)] = [
        ("change-set.json", NotifierFixture.change(58, first: 58, last: 59)),
        ("change-secret.json", sealed),
        ("change-delete.json", NotifierFixture.change(60, name: "OLD", value: nil)),
        ("change-escapes.json", NotifierFixture.change(61, name: "GREETING", value: "say \"hi\"\\\n\t\u{1}é😀/")),
        (
            "change-bulk.json",
            .bulk(environmentID: NotifierFixture.environmentID, first: 62, last: 961, mark: 7, at: "2026-11-21T02:48:26.123Z", by: "root")
        ),
    ]

    @Test("is the golden text", arguments: all.indices)
    func golden(index: Int) throws {
        let (file, message) = Self.all[index]
        let text = message.encoded(Self.authenticator)
        #expect(String(decoding: text, as: UTF8.self) == (try NotifierFixture.golden(file)))
        #expect(Self.decode(text) == .message(message))
    }

    @Test("begins with the four members that every subscriber of the channel knows")
    func prefix() throws {
        let text = String(decoding: NotifierFixture.change(1).encoded(Self.authenticator), as: UTF8.self)
        let four = #"{"environmentId":"\#(NotifierFixture.environmentID)","name":"DB_HOST","value":"10.0.0.9","isSecret":false"#
        #expect(text.hasPrefix(four + ","))
        let object = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        #expect(object.count == 13)
    }

    @Test("is trusted in any order of members and with any blanks")
    func anyOrder() throws {
        let message = Self.sealed
        let object = try JSONSerialization.jsonObject(with: Data(message.encoded(Self.authenticator)))
        for options: JSONSerialization.WritingOptions in [[.sortedKeys], [.prettyPrinted], []] {
            let text = try JSONSerialization.data(withJSONObject: object, options: options)
            #expect(Self.decode([UInt8](text)) == .message(message))
        }
    }

    @Test("with any member changed, missing, doubled or added is not trusted, but tells its environment")
    func tampered() throws {
        let text = Self.sealed.encoded(Self.authenticator)
        let members = try #require(try JSONSerialization.jsonObject(with: Data(text)) as? [String: Any])
        let others: [String: Any] = [
            "name": "API_KEz", "value": "sealed:v1:q83vEjRWeJB=", "isSecret": false, "op": "delete", "revision": 58, "version": 4,
            "first": 59,
            "last": 60, "mark": "9f3a003a", "at": "2026-11-21T02:48:26.124Z", "by": "root", "mac": String(repeating: "0", count: 64),
        ]
        func untrusted(_ members: [String: Any]) throws {
            let text = try JSONSerialization.data(withJSONObject: members, options: [.sortedKeys])
            guard case .untrusted = Self.decode([UInt8](text)) else {
                Issue.record("trusted: \(String(decoding: text, as: UTF8.self))")
                return
            }
        }
        for (key, other) in others {
            try untrusted(members.merging([key: other]) { $1 })
            try untrusted(members.filter { $0.key != key })
            try untrusted(members.merging([key: NSNull()]) { $1 })
        }
        try untrusted(members.merging(["extra": 1]) { $1 })
        try untrusted(members.merging(["environmentId": NotifierFixture.otherEnvironmentID]) { $1 })

        let whole = String(decoding: text, as: UTF8.self)
        let claimed = DecodedChange.untrusted(environmentID: NotifierFixture.environmentID)
        #expect(Self.decode(whole.replacingOccurrences(of: "API_KEY", with: "API_KEX")) == claimed)
        #expect(Self.decode(whole.dropLast() + #","name":"API_KEY"}"#) == claimed)
        #expect(Self.decode(whole + "x") == claimed)
        let foreign = MessageAuthenticator(key: Array(1..<33))
        #expect(ChangeMessage.decode(text.span, foreign) == claimed)
    }

    @Test("is trusted while keys are rotated, whichever of both keys its sender puts first")
    func rotation() {
        let (old, new) = (Array<UInt8>(0..<32), Array<UInt8>(1..<33))
        let rings = [[old], [old, new], [new, old], [new]].map { MessageAuthenticator(keys: $0) }
        let change = NotifierFixture.change(5)
        let control = ControlMessage.tokenRevoked(tokenID: "ab12cd34")
        // Rows send, columns receive; a ring without the sender's key has no way to tell.
        let trusted = [
            [true, true, true, false], [true, true, true, false], [false, true, true, true], [false, true, true, true],
        ]
        for (sender, row) in zip(rings, trusted) {
            for (receiver, isTrusted) in zip(rings, row) {
                let decoded = ChangeMessage.decode(change.encoded(sender).span, receiver)
                #expect((decoded == .message(change)) == isTrusted)
                #expect(ControlMessage.decode(control.encoded(sender).span, receiver)?.isTrusted == isTrusted)
            }
        }
    }

    @Test("with a valid code but impossible fields is not trusted")
    func inconsistent() {
        let good = NotifierFixture.change(5, first: 4, last: 6)
        let changes: [(inout ChangeMessage) -> Void] = [
            { $0.first = 0 }, { $0.first = 6 }, { $0.last = 4 }, { $0.revision = -1 }, { $0.version = -1 }, { $0.value = nil },
            { $0.operation = .delete }, { $0.operation = .bulk }, { $0.environmentID = "" }, { $0.environmentID += "0" },
            { $0.environmentID = $0.environmentID.uppercased() }, { $0.environmentID = String(repeating: "-", count: 36) },
        ]
        for (index, change) in changes.enumerated() {
            var bad = good
            change(&bad)
            guard case .untrusted = Self.decode(bad.encoded(Self.authenticator)) else {
                Issue.record("trusted: change \(index)")
                continue
            }
        }
        #expect(Self.decode(good.encoded(Self.authenticator)) == .message(good))
    }

    @Test("in the four-member form by hand tells its environment")
    func byHand() {
        let id = NotifierFixture.environmentID
        let known = DecodedChange.untrusted(environmentID: id)
        #expect(Self.decode(#"{"environmentId":"\#(id)","name":"A","value":"1","isSecret":false}"#) == known)
        #expect(Self.decode(#" { "environmentId" : "\#(id)" , "name" : "A", "value" : null, "isSecret" : true } "#) == known)
        #expect(Self.decode(#"{"name":"A","value":"1","isSecret":false,"environmentId":"\#(id)"}"#) == known)
        #expect(Self.decode(#"{"environmentId":"\#(id)""#) == known)
        #expect(Self.decode(#"{"environmentId":"\#(id)","name":7}"#) == known)
    }

    @Test(
        "that is garbage tells nothing",
        arguments: [
            "", " ", "{", "{}", "[]", "null", "hello", "{\"environmentId\":}", "{\"environmentId\":\"x\"}", "{\"environmentId\":7}",
            "{\"environmentId\"",
            "{\"environmentId\":\"' OR 1=1 -- xxxxxxxxxxxxxxxxxxxxxx\",\"name\":\"A\"}", "\u{feff}{}", "{\"a\":{\"b\":[[[[",
        ]
    )
    func garbage(text: String) {
        #expect(Self.decode(text) == .untrusted(environmentID: nil))
    }

    @Test("cut, flipped, doubled or random never crashes and is never trusted unless it says the same")
    func random() {
        var generator = SystemRandomNumberGenerator()
        let messages = Self.all.map(\.1)
        for message in messages {
            let text = message.encoded(Self.authenticator)
            for end in 0..<text.count {
                guard case .untrusted = Self.decode(Array(text[..<end])) else {
                    Issue.record("a text cut at \(end) was trusted")
                    return
                }
            }
            for _ in 0..<3_000 {
                var mutated = text
                for _ in 0...Int.random(in: 0..<3, using: &generator) {
                    let position = Int.random(in: 0..<mutated.count, using: &generator)
                    switch Int.random(in: 0..<4, using: &generator) {
                    case 0: mutated[position] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
                    case 1: mutated[position] = UInt8.random(in: 0...255, using: &generator)
                    case 2: mutated.remove(at: position)
                    default: mutated.insert(contentsOf: mutated[position..<min(position + 8, mutated.count)], at: position)
                    }
                }
                if case .message(let decoded) = Self.decode(mutated) { #expect(decoded == message) }
            }
        }
        for _ in 0..<3_000 {
            let alphabet = Array(#"{}[]:,"\ue0-19truefalsn .environmentId"#.utf8)
            let count = Int.random(in: 0..<80, using: &generator)
            let noise = (0..<count).map { _ in alphabet.randomElement(using: &generator) ?? 0 }
            guard case .untrusted = Self.decode(noise) else {
                Issue.record("noise was trusted")
                return
            }
        }
    }
}
