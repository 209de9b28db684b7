// Keyvane
// SPDX-License-Identifier: Apache-2.0

// The watching side: thousands of bare sockets, one client for all servers.
// Flows through: handshakes, 64 at a time; then bytes into one buffer, scanned for markers, counted by socket and channel.
// Owner: the fleet owns its sockets and the buffer; all of it is confined to the fleet's loop.
// Must hold: a change counts once on each socket, wherever reads cut it; nothing is kept of what arrives but counts and times.

import Glibc
import Reactor

/// How each socket asks to watch.
struct FleetRequest: Sendable {
    var port: UInt16
    var target: String
    let fields: [String]
    let first: String?
    /// Text in a server's first bytes that says: subscribed.
    var ready: String

    func head(channel: Int) -> [UInt8] {
        let lines =
            [
                "GET \(target) HTTP/1.1", "Host: 127.0.0.1:\(port)", "Connection: Upgrade", "Upgrade: websocket",
                "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            ] + fields
        return Self.fill(lines.joined(separator: "\r\n") + "\r\n\r\n", channel)
    }

    func firstMessage(channel: Int) -> [UInt8]? {
        first.map { ClientFrame.text(Self.fill($0, channel)) }
    }

    private static func fill(_ text: String, _ channel: Int) -> [UInt8] {
        [UInt8](text.replacing("{channel}", with: "\(channel)").utf8)
    }
}

/// A frame as clients send it (RFC 6455 section 5.2).
enum ClientFrame {
    static func text(_ payload: [UInt8]) -> [UInt8] {
        var frame: [UInt8] = [0x81]
        switch payload.count {
        case ..<126:
            frame.append(0x80 | UInt8(payload.count))
        case ..<65536:
            frame += [0x80 | 126, UInt8(payload.count >> 8), UInt8(payload.count & 255)]
        default:
            preconditionFailure("a message of the load generator is short")
        }
        // A mask of zeros leaves the payload as it is: what masking costs is not measured here.
        return frame + [0, 0, 0, 0] + payload
    }
}

/// All watching sockets, and what arrives on them. Confined to its loop.
final class SocketFleet {
    /// Handshakes under way at once.
    private static let window = 64
    private static let readsBetweenLooks = 64

    var request: FleetRequest
    let channels: Int
    let loop: Loop
    private(set) var sockets: [FleetSocket] = []
    /// Sockets that have subscribed.
    private(set) var subscribed = 0
    private var opening = 0
    private var wanted = 0
    private var opened: (() -> Void)?
    /// Sockets of each channel.
    var members: [Int] { (0..<channels).map { (sockets.count + channels - 1 - $0) / channels } }
    /// Bytes received after the subscription.
    private(set) var receivedBytes = 0
    /// Reads that brought something.
    private(set) var reads = 0
    /// Counts what arrives, while somebody wants to know.
    var tally: DeliveryTally?
    /// Called among many reads: what they make due must not wait for the last of them.
    var lookAround: (() -> Void)?
    /// A subscribed socket was closed by the server.
    var lost: ((FleetSocket) -> Void)?
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 * 1024, alignment: 16)

    init(_ request: FleetRequest, channels: Int, on loop: Loop) {
        self.request = request
        self.channels = channels
        self.loop = loop
    }

    deinit {
        buffer.deallocate()
    }

    // MARK: Opening

    /// Goes on until `count` sockets have subscribed, then calls `done`.
    func open(_ count: Int, _ done: @escaping () -> Void) {
        wanted = count
        opened = done
        openMore()
    }

    private func openMore() {
        while opening < Self.window, sockets.count < wanted {
            let socket = FleetSocket(number: sockets.count, channel: sockets.count % channels, in: self)
            sockets.append(socket)
            connect(socket, port: request.port)
        }
        if subscribed == wanted, let done = opened {
            opened = nil
            done()
        }
    }

    /// Also for a lost socket that comes back, which then has its own window: none, because that is how clients are.
    func connect(_ socket: FleetSocket, port: UInt16) {
        opening += 1
        socket.connect(port: port, head: request.head(channel: socket.channel))
    }

    func subscribed(_ socket: FleetSocket) {
        opening -= 1
        subscribed += 1
        openMore()
    }

    func closed(_ socket: FleetSocket, wasSubscribed: Bool) {
        guard wasSubscribed else {
            BenchExit.fail("the server closed a socket in its handshake: \(socket.answer)")
        }
        subscribed -= 1
        lost?(socket)
    }

    func closeAll() {
        lost = nil
        for socket in sockets { socket.close() }
        sockets = []
    }

    // MARK: Reading

    /// One read from a socket into the fleet's only buffer.
    func read(_ descriptor: Int32, _ body: (UnsafeRawBufferPointer) -> Void) -> Bool {
        let count = recv(descriptor, buffer.baseAddress, buffer.count, 0)
        guard count > 0 else { return count < 0 && errno == EAGAIN }
        body(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        return true
    }

    func received(_ bytes: UnsafeRawBufferPointer, on socket: Int, of channel: Int) {
        receivedBytes += bytes.count
        reads += 1
        tally?.count(bytes, on: socket, of: channel)
        if reads % Self.readsBetweenLooks == 0 { lookAround?() }
    }
}
