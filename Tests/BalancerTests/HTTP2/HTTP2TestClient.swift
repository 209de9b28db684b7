// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor
import TestSupport

/// What came on one stream.
struct HTTP2Message: Sendable {
    var heads: [[(name: String, value: String)]] = []
    var body: [UInt8] = []
    var isEnded = false
    var reset: UInt32?

    var text: String { String(decoding: body, as: UTF8.self) }
    var isOver: Bool { isEnded || reset != nil }

    /// Of the final head; interim ones and trailers are heads too.
    var head: [(name: String, value: String)] {
        heads.first { head in head.contains { $0.name == ":status" && !$0.value.hasPrefix("1") } } ?? []
    }

    var status: String? { value(":status") }
    func value(_ name: String) -> String? { head.first { $0.name == name }?.value }
    func values(_ name: String) -> [String] { head.filter { $0.name == name }.map(\.value) }
    var trailers: [(name: String, value: String)] {
        guard let last = heads.last, !last.contains(where: { $0.name == ":status" }) else { return [] }
        return last
    }
}

/// Sends the frames a test says and sorts what comes by streams. Confined to its test.
final class HTTP2TestClient {
    let client: TestClient
    private(set) var messages: [Int32: HTTP2Message] = [:]
    private(set) var goAway: (last: Int32, code: UInt32)?
    private(set) var settings: [[UInt8]] = []
    private(set) var pings = 0
    /// What may still be sent; streams that are missing have the initial size.
    private(set) var windows: [Int32: Int] = [0: 65_535]
    private var initialWindow = 65_535
    /// Of DATA: the windows are opened again as it comes.
    var opensWindows = true
    private let reader = HTTP2HeaderReader()
    private var block: [UInt8] = []

    init(_ client: TestClient) {
        self.client = client
    }

    /// `first` goes along with the preface.
    static func connect(
        _ fixture: BalancerFixture,
        settings: [(UInt16, UInt32)] = [],
        sending first: [HTTP2Frame] = []
    ) async throws -> HTTP2TestClient {
        let opening = HTTP2Frame.preface + HTTP2Frame.settings(settings).bytes + first.flatMap(\.bytes)
        return HTTP2TestClient(try await fixture.client(sending: opening))
    }

    static func request(_ method: String = "GET", _ path: String = "/", _ more: [(String, String)] = []) -> [(String, String)] {
        [(":method", method), (":scheme", "https"), (":path", path), (":authority", "a")] + more
    }

    func send(_ frames: HTTP2Frame...) {
        client.send(frames.flatMap(\.bytes))
    }

    func send(_ frames: [HTTP2Frame]) {
        client.send(frames.flatMap(\.bytes))
    }

    /// Sends a request without a body and awaits what becomes of it.
    func get(_ stream: Int32, _ path: String = "/", method: String = "GET", _ more: [(String, String)] = []) async throws -> HTTP2Message {
        send(.headers(stream, Self.request(method, path, more)))
        return try await message(stream)
    }

    /// Waits for the end of a stream.
    func message(_ stream: Int32) async throws -> HTTP2Message {
        try await until("stream \(stream) to end") { $0.messages[stream]?.isOver == true }
        return messages[stream] ?? HTTP2Message()
    }

    func until(_ what: String, _ isDone: (HTTP2TestClient) -> Bool) async throws {
        while !isDone(self) { take(try await client.take(what) { HTTP2Frame.read($0) }) }
    }

    func spend(_ count: Int, on stream: Int32) {
        windows[0, default: 0] -= count
        windows[stream, default: initialWindow] -= count
    }

    /// Reads to the end of the connection.
    func untilEnd() async throws {
        var rest = try await client.untilEnd()
        while let (frame, used) = HTTP2Frame.read(rest) {
            take(frame)
            rest.removeFirst(used)
        }
    }

    private func take(_ frame: HTTP2Frame) {
        let stream = frame.stream
        switch frame.type {
        case 0:
            messages[stream, default: HTTP2Message()].body += frame.payload
            if opensWindows, !frame.payload.isEmpty {
                send(.windowUpdate(0, frame.payload.count))
                if !frame.endsStream { send(.windowUpdate(stream, frame.payload.count)) }
            }
        case 1, 9:
            block += frame.payload
            if frame.flags & 4 != 0 {
                messages[stream, default: HTTP2Message()].heads.append(reader.read(block))
                block = []
            }
        case 3:
            messages[stream, default: HTTP2Message()].reset = UInt32(bitPattern: HTTP2Frame.number(frame.payload[...]))
        case 4 where frame.flags & 1 == 0:
            settings.append(frame.payload)
            for start in stride(from: 0, to: frame.payload.count, by: 6) where frame.payload[start + 1] == 4 {
                initialWindow = Int(HTTP2Frame.number(frame.payload[start + 2..<start + 6]))
            }
            send(HTTP2Frame(type: 4, flags: 1))
        case 6 where frame.flags & 1 != 0:
            pings += 1
        case 8:
            windows[stream, default: initialWindow] += Int(HTTP2Frame.number(frame.payload[...]))
        case 7:
            goAway = (HTTP2Frame.number(frame.payload[0..<4]), UInt32(bitPattern: HTTP2Frame.number(frame.payload[4..<8])))
        default:
            break
        }
        if frame.endsStream { messages[stream, default: HTTP2Message()].isEnded = true }
    }
}
