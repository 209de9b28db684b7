// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor

/// The proxy's listener and the pairs of sockets behind it; confined to its loop.
final class RedisProxyConnections {
    private let loop: Loop
    private let upstream: UInt16
    private let decide: (RedisProxyMessage) -> RedisProxyVerdict
    private var listener: Listener?
    private var pairs: [ObjectIdentifier: RedisProxyPair] = [:]

    init(on loop: Loop, upstream: UInt16, decide: @escaping (RedisProxyMessage) -> RedisProxyVerdict) {
        self.loop = loop
        self.upstream = upstream
        self.decide = decide
    }

    var count: Int { pairs.count }

    func listen(_ socket: ListenSocket, accepts: @escaping () -> Bool) throws {
        listener = try Listener(socket, on: loop) { [weak self] client in
            guard let self, accepts() else {
                client.close()
                return
            }
            let pair = RedisProxyPair(client, decide: decide) { [weak self] in self?.pairs[ObjectIdentifier($0)] = nil }
            pairs[ObjectIdentifier(pair)] = pair
            pair.connect(to: Endpoint(host: "127.0.0.1", port: upstream))
        }
    }

    func closeAll() {
        for pair in pairs.values { pair.close() }
    }

    func close() {
        listener?.close()
        listener = nil
        closeAll()
    }
}

/// One client and its connection to Redis. Bytes to Redis pass as they are; replies pass whole, so that a message can be dropped.
private final class RedisProxyPair: ConnectionHandler {
    private let client: Connection
    private let decide: (RedisProxyMessage) -> RedisProxyVerdict
    private let ended: (RedisProxyPair) -> Void
    private var redis: Connection?
    private var waiting: [UInt8] = []
    private var unread: [UInt8] = []
    private var swapped: [[UInt8]] = []
    private var index = 0
    private var isClosed = false

    init(_ client: Connection, decide: @escaping (RedisProxyMessage) -> RedisProxyVerdict, ended: @escaping (RedisProxyPair) -> Void) {
        self.client = client
        self.decide = decide
        self.ended = ended
        client.pendingLimit = 64 << 20
    }

    func connect(to endpoint: Endpoint) {
        client.start(self)
        Connector.connect(to: endpoint, on: client.loop, timeout: .seconds(5)) { [self] result in
            guard !isClosed, case .success(let redis) = result else {
                if case .success(let redis) = result { redis.close() }
                close()
                return
            }
            self.redis = redis
            redis.pendingLimit = 64 << 20
            redis.start(self)
            redis.write(waiting)
            waiting = []
        }
    }

    func close() {
        guard !isClosed else { return }
        isClosed = true
        client.close()
        redis?.close()
        ended(self)
    }

    func connection(_ connection: Connection, received bytes: Span<UInt8>) {
        let bytes = bytes.withUnsafeBufferPointer { [UInt8]($0) }
        guard connection === client else {
            fromRedis(bytes)
            return
        }
        if let redis { redis.write(bytes) } else { waiting += bytes }
    }

    func connectionReachedEnd(_ connection: Connection) { close() }
    func connectionDrained(_ connection: Connection) {}
    func connectionClosed(_ connection: Connection, _ reason: CloseReason) { close() }

    private func fromRedis(_ bytes: [UInt8]) {
        unread += bytes
        var start = 0
        while let end = RedisFrame.end(in: unread, from: start) {
            pass([UInt8](unread[start..<end]))
            start = end
        }
        unread.removeFirst(start)
    }

    private func pass(_ frame: [UInt8]) {
        guard let (channel, payload) = RedisFrame.message(frame) else {
            client.write(frame)
            return
        }
        let message = RedisProxyMessage(index: index, channel: channel, payload: payload)
        index += 1
        let late = swapped
        swapped = []
        switch decide(message) {
        case .forward: client.write(frame)
        case .drop: break
        case .duplicate: client.write(frame + frame)
        case .swapWithNext: swapped = [frame]
        case .delay(let delay): client.loop.after(delay) { [client] in client.write(frame) }
        }
        for frame in late { client.write(frame) }
    }
}

/// Where a reply ends, without hiredis: the proxy passes bytes on as they were.
enum RedisFrame {
    static func end(in bytes: [UInt8], from start: Int) -> Int? {
        guard let lineEnd = lineEnd(in: bytes, from: start) else { return nil }
        let next = lineEnd + 2
        switch bytes[start] {
        case UInt8(ascii: "$"):
            guard let length = number(bytes[(start + 1)..<lineEnd]), length >= 0 else { return next }
            return next + length + 2 <= bytes.count ? next + length + 2 : nil
        case UInt8(ascii: "*"):
            var position = next
            for _ in 0..<max(0, number(bytes[(start + 1)..<lineEnd]) ?? 0) {
                guard let end = end(in: bytes, from: position) else { return nil }
                position = end
            }
            return position
        default:
            return next
        }
    }

    /// Channel and payload of `*3`, `message`, channel, payload.
    static func message(_ frame: [UInt8]) -> (channel: String, payload: String)? {
        guard frame.starts(with: "*3\r\n$7\r\nmessage\r\n".utf8) else { return nil }
        var parts: [String] = []
        var position = 4
        while position < frame.count, let lineEnd = lineEnd(in: frame, from: position), let end = end(in: frame, from: position) {
            parts.append(String(decoding: frame[(lineEnd + 2)..<(end - 2)], as: UTF8.self))
            position = end
        }
        return parts.count == 3 ? (parts[1], parts[2]) : nil
    }

    private static func number(_ digits: ArraySlice<UInt8>) -> Int? {
        Int(String(decoding: digits, as: UTF8.self))
    }

    private static func lineEnd(in bytes: [UInt8], from start: Int) -> Int? {
        var position = start
        while position + 1 < bytes.count {
            if bytes[position] == UInt8(ascii: "\r"), bytes[position + 1] == UInt8(ascii: "\n") { return position }
            position += 1
        }
        return nil
    }
}
