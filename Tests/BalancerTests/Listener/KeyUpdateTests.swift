// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import COpenSSL
import Dispatch
import Glibc
import Reactor
import TestSupport
import Testing

/// Clients that change their keys under way (RFC 8446 section 4.6.3), and want us to change ours.
@Suite struct KeyUpdateTests {
    private func withClient(_ body: @escaping @Sendable (UpdatingClient) -> Void) async throws {
        try await withCertificates { certificates in
            try await BalancerFixture.with(
                configure: {
                    $0.listeners[0].tls = ListenerTLS(certificates: [
                        .init(certificate: certificates.certificate(.server), key: certificates.key(.server))
                    ])
                },
                script: { _, request in request.target == "/large" ? .stream(16 << 20) : .ok("path \(request.target)") }
            ) { fixture in
                let port = try #require(fixture.addresses.listeners[0].port)
                let isConnected = await withCheckedContinuation { continuation in
                    // The client blocks, so it has a thread of its own.
                    DispatchQueue.global().async {
                        let client = UpdatingClient(port: port)
                        client.map(body)
                        continuation.resume(returning: client != nil)
                    }
                }
                #expect(isConnected)
            }
        }
    }

    @Test(arguments: [SSL_KEY_UPDATE_NOT_REQUESTED, SSL_KEY_UPDATE_REQUESTED])
    func requestsGoOn(_ kind: Int32) async throws {
        try await withClient { client in
            for number in 0..<30 {
                #expect(client.updateKeys(kind))
                #expect(client.send("GET /\(number) HTTP/1.1\r\nHost: localhost\r\n\r\n"))
                let answer = client.receive { $0.hasSuffix("path /\(number)") }
                #expect(answer.hasPrefix("HTTP/1.1 200") && answer.hasSuffix("path /\(number)"))
            }
            #expect(client.updates == (kind == SSL_KEY_UPDATE_REQUESTED ? 30 : 0))
        }
    }

    /// Our answer to it has to wait behind bytes that the client doesn't take.
    @Test func aFullConnectionGoesOn() async throws {
        try await withClient { client in
            #expect(client.send("GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n"))
            var received = client.receive { $0.contains("\r\n\r\n") }.utf8.count
            for _ in 0..<3 {
                #expect(client.updateKeys(SSL_KEY_UPDATE_REQUESTED))
                received += client.receive(atLeast: 4 << 20)
            }
            // The rest, with the head's share.
            received += client.receive(atLeast: (16 << 20) - received)
            #expect(received >= 16 << 20)
            #expect(client.updates == 3)
        }
    }
}

/// OpenSSL's client by hand. Confined to its thread, which it blocks, for a minute at most.
private final class UpdatingClient {
    private let descriptor: Int32
    private let context: OpaquePointer
    private let session: OpaquePointer
    private let count = UnsafeMutablePointer<Int>.allocate(capacity: 1)
    private var buffer = [UInt8](repeating: 0, count: 64 << 10)

    init?(port: UInt16) {
        guard let context = SSL_CTX_new(TLS_client_method()), let session = SSL_new(context) else { return nil }
        self.context = context
        self.session = session
        count.initialize(to: 0)
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        // Small, so that much waits at the other end.
        var room: Int32 = 32 << 10
        setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &room, socklen_t(MemoryLayout<Int32>.size))
        var patience = timeval(tv_sec: 60, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let status = withUnsafePointer(to: address) { address in
            address.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
        SSL_set_msg_callback(session) { isOurs, _, type, message, length, _, count in
            // A handshake message of the type key_update (24).
            guard isOurs == 0, type == SSL3_RT_HANDSHAKE, let message, length > 0, message.load(as: UInt8.self) == 24 else { return }
            count?.assumingMemoryBound(to: Int.self).pointee += 1
        }
        SSL_ctrl(session, SSL_CTRL_SET_MSG_CALLBACK_ARG, 0, count)
        guard status == 0, SSL_set_fd(session, descriptor) == 1, SSL_connect(session) == 1 else { return nil }
    }

    deinit {
        SSL_free(session)
        SSL_CTX_free(context)
        close(descriptor)
        count.deallocate()
    }

    /// How often the other side has changed its keys.
    var updates: Int { count.pointee }

    func updateKeys(_ kind: Int32) -> Bool {
        SSL_key_update(session, kind) == 1 && SSL_do_handshake(session) == 1
    }

    func send(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        return SSL_write(session, bytes, Int32(bytes.count)) == Int32(bytes.count)
    }

    /// Reads until it is enough, or there is no more.
    func receive(until isEnough: (String) -> Bool) -> String {
        var bytes: [UInt8] = []
        while !isEnough(String(decoding: bytes, as: UTF8.self)) {
            let length = SSL_read(session, &buffer, Int32(buffer.count))
            guard length > 0 else { break }
            bytes += buffer[..<Int(length)]
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    func receive(atLeast total: Int) -> Int {
        var received = 0
        while received < total {
            let length = SSL_read(session, &buffer, Int32(buffer.count))
            guard length > 0 else { break }
            received += Int(length)
        }
        return received
    }
}
