// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor

/// How a peer takes what it is to publish.
enum WireForm {
    /// The channel's number, a space, the message: one frame.
    case webSocket
    /// `POST /publish/CHANNEL`, pipelined.
    case http
    /// `PUB CHANNEL`
    case nats

    fileprivate var greeting: [UInt8] {
        switch self {
        case .webSocket:
            FleetRequest(port: 0, target: "/publish", fields: [], first: nil, ready: "").head(channel: 0)
        case .http: []
        case .nats: [UInt8]("CONNECT {\"verbose\":false}\r\n".utf8)
        }
    }

    fileprivate func message(_ value: [UInt8], channel: Int) -> [UInt8] {
        switch self {
        case .webSocket:
            ClientFrame.text([UInt8]("\(channel) ".utf8) + value)
        case .http:
            [UInt8]("POST /publish/\(channel) HTTP/1.1\r\nHost: bench\r\nContent-Length: \(value.count)\r\n\r\n".utf8) + value
        case .nats:
            [UInt8]("PUB \(channel) \(value.count)\r\n".utf8) + value + [13, 10]
        }
    }
}

/// Hands changes to a peer. Confined to its loop.
final class WirePublisher: LoadPublisher {
    let stamps = PublishStamps()
    private let form: WireForm
    private let bytes: Int
    private let connection: LoadConnection

    init(_ form: WireForm, port: UInt16, bytes: Int, on loop: Loop) {
        self.form = form
        self.bytes = bytes
        connection = LoadConnection(port: port, greeting: form.greeting, on: loop)
    }

    func beginRun(ahead: Int, isTimed: Bool) {
        stamps.reset()
    }

    func publish(channel: Int) {
        let number = stamps.nextNumber()
        let message = form.message(Marker.value(number, bytes: bytes), channel: channel)
        stamps.note(number, at: BenchClock.microseconds)
        connection.write(message)
    }

    func finishRun() -> [Int] { [] }
}
