// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import KeyvaneClient
import NIOCore
import NIOWebSocket
import Testing

/// The server's side of one connection.
struct ScriptedSocket {
    /// The client hung up in the middle of a script.
    struct Closed: Error {}

    /// A message of the client.
    struct Message: Decodable, Equatable {
        var type: String
        var id: Int?
        var environment: String?
        var since: WatchCursor?
        var names: [String]?
        var acks: Bool?
        var revision: Int?
        var status: String?
        var message: String?
    }

    private var inbound: NIOAsyncChannelInboundStream<WebSocketFrame>.AsyncIterator
    private let outbound: NIOAsyncChannelOutboundWriter<WebSocketFrame>

    init(inbound: NIOAsyncChannelInboundStream<WebSocketFrame>, outbound: NIOAsyncChannelOutboundWriter<WebSocketFrame>) {
        self.inbound = inbound.makeAsyncIterator()
        self.outbound = outbound
    }

    /// The next frame; every one must be masked (RFC 6455, section 5.3).
    mutating func frame() async throws -> WebSocketFrame {
        guard let frame = try await inbound.next() else { throw Closed() }
        #expect(frame.maskKey != nil)
        return frame
    }

    mutating func receive() async throws -> Message {
        let frame = try await frame()
        if frame.opcode == .connectionClose { throw Closed() }
        try #require(frame.opcode == .text)
        return try JSONDecoder().decode(Message.self, from: Data(Array(buffer: frame.unmaskedData)))
    }

    func send(_ text: String) async throws {
        try await send(WebSocketFrame(fin: true, opcode: .text, data: ByteBuffer(string: text)))
    }

    func send(_ frame: WebSocketFrame) async throws {
        try await outbound.write(frame)
    }

    /// Returns when the client has worked through everything that was sent.
    mutating func settle() async throws {
        try await send(WebSocketFrame(fin: true, opcode: .ping, data: ByteBuffer(string: "settle")))
        let answer = try await frame()
        #expect(answer.opcode == .pong)
        #expect(String(buffer: answer.unmaskedData) == "settle")
    }

    /// Takes the subscription and answers it.
    @discardableResult
    mutating func subscribe() async throws -> Message {
        let message = try await receive()
        #expect(message.type == "subscribe")
        try await send(GoldenMessages.subscribed(message.id ?? 0))
        return message
    }

    /// Closes and waits for the client's close.
    mutating func close(_ code: Int, _ reason: String = "") async throws {
        var data = ByteBuffer()
        data.writeInteger(UInt16(code))
        data.writeString(reason)
        try await send(WebSocketFrame(fin: true, opcode: .connectionClose, data: data))
        #expect(try await closeCode() == code)
    }

    /// Reads until the client closes; the code that it gives.
    mutating func closeCode() async throws -> Int? {
        while true {
            let frame = try await frame()
            guard frame.opcode == .connectionClose else { continue }
            var data = frame.unmaskedData
            return data.readInteger(as: UInt16.self).map(Int.init)
        }
    }
}
