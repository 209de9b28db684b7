// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Gateway
import Reactor
import Store
import TestSupport
import Testing
import Wire

/// permessage-deflate: the same messages in fewer bytes, compressed once for all who read them.
@Suite struct DeflateTests {
    private static let deflated: @Sendable (WebSocketClientConnection) -> Void = { $0.offersDeflate = true }

    private func bytes(_ client: WebSocketClient) async throws -> Int {
        let counted = Events<Int>()
        client.perform { counted.emit($0.receivedBytes) }
        try await counted.until("the count") { !$0.isEmpty }
        return counted.all[0]
    }

    @Test func compressedWatchersSeeWhatTheOthersSee() async throws {
        try await GatewayFixture.with { gateway in
            let text = String(repeating: "configuration ", count: 100)
            for index in 0..<50 { try await gateway.commit(.set("NAME_\(index)", "\(text)\(index)"), quietly: true) }
            let plain = try await gateway.watch()
            let packed = try await gateway.watch(configure: Self.deflated)
            let filtered = try await gateway.watch("&names=NAME_1*", configure: Self.deflated)
            for index in 0..<50 { try await gateway.commit(.set("NAME_\(index)", "\(index) \(text)"), .set("OTHER", "\(index)")) }
            let expected = try await plain.values(at: 150)
            #expect(try await packed.values(at: 150) == expected)
            #expect(expected.count == 51)
            try await gateway.commit(.delete("NAME_10"))
            let some = try await filtered.values(at: 151)
            #expect(some.count == 10 && some["NAME_10"] == nil && some["NAME_11"] == "11 \(text)")
            // Values of 1.4 KB each that say the same over and over.
            let (many, few) = (try await bytes(plain.client), try await bytes(packed.client))
            #expect(few * 5 < many, "\(few) bytes against \(many)")
        }
    }

    @Test func aClientMayCompressToo() async throws {
        try await GatewayFixture.with { gateway in
            let client = try await gateway.connect(configure: Self.deflated)
            _ = try await client.message("ready")
            let message = #"{"type":"subscribe","id":7,"environment":"acme/web/production"}"#
            client.perform { connection in
                var frame: [UInt8] = []
                Deflater()?.appendFrame(.text, Array(message.utf8).span, mask: 0x0102_0304, to: &frame)
                connection.connection.write(frame)
            }
            #expect(try await client.message("subscribed").contains(#""id":7"#))
            // 64 KiB is the limit of the message, not of what it is packed in.
            client.perform { connection in
                var frame: [UInt8] = []
                Deflater()?.appendFrame(.text, Array(repeating: UInt8(0x20), count: 1024 * 1024).span, mask: 1, to: &frame)
                connection.connection.write(frame)
            }
            guard case .closed(1009, _) = try await client.end() else {
                Issue.record("a message that inflates to 1 MiB was taken")
                return
            }
        }
    }

    /// The size of a compressed frame tells of what is in it.
    @Test func secretsAreNeverCompressedBesideOtherValues() throws {
        var log = FeedLog()
        let text = String(repeating: "configuration ", count: 100)
        log.commit([("A", text)])
        let encoder = FrameEncoder(environment: "a/b/c", id: "5b1f0c1e-6d0e-4f5c-9a57-3c1f2d7e8a90", deflater: Deflater())
        func group() -> FeedGroup {
            let key = FeedGroup.Key(visibility: .everything, names: .everything, format: .deflated)
            return FeedGroup(id: 1, key: key, loops: 1, head: log.head, encoder: encoder, open: { _, _, sealed in sealed })
        }
        #expect(try group().start(with: log.content, at: 0).bytes.first == 0xC1)
        let secret = log.commit([("S", text)], kind: .secret)
        #expect(try group().start(with: log.content, at: 0).bytes.first == 0x81)
        #expect(try group().publication(of: secret, leadingTo: log.head).frames.first?.bytes.first == 0x81)
    }

    @Test func withoutTheOfferNothingIsCompressed() async throws {
        try await GatewayFixture.with { gateway in
            let client = try await gateway.connect()
            _ = try await client.message("ready")
            client.perform { connection in
                var frame: [UInt8] = []
                Deflater()?.appendFrame(.text, Array("{}".utf8).span, mask: 1, to: &frame)
                connection.connection.write(frame)
            }
            guard case .closed(1002, _) = try await client.end() else {
                Issue.record("a compressed frame was taken without the extension")
                return
            }
        }
    }
}
