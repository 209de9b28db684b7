// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor
import TestSupport

/// A listener with TLS, or a prelude, whose connections repeat what they get, say `facts` about themselves, and end on `quit`.
struct TLSServerPeer: Sendable {
    let port: UInt16
    let identity: TLSServerIdentity?
    let certificates: TestCertificates
    let loop: Loop
    let failures: Events<ArrivalFailure>
    let closes: Events<CloseReason>
    let listener: LoopBound<Listener>

    /// Our own client.
    func connect(
        to host: String = "127.0.0.1",
        as client: TestCertificates.Name? = nil
    ) async throws -> Result<TLSClientSide, ReactorError> {
        let context = try TLSContext(
            authorities: certificates.authority,
            certificate: client.map(certificates.certificate),
            key: client.map(certificates.key)
        )
        let results = Events<Result<TLSClientSide, ReactorError>>()
        let (loop, port) = (loop, port)
        loop.post {
            Connector.connect(to: Endpoint(host: host, port: port), tls: context, on: loop, timeout: .seconds(60)) { result in
                results.emit(result.map { TLSClientSide($0, on: loop) })
            }
        }
        return try await results.first()
    }

    /// OpenSSL's client; it stays until the server ends the connection.
    func openssl(_ arguments: String..., input: String = "facts\nquit\n") async throws -> ForeignClient.Outcome {
        try await ForeignClient.run(
            ["openssl", "s_client", "-connect", "127.0.0.1:\(port)", "-CAfile", certificates.authority, "-ign_eof"] + arguments,
            input: input
        )
    }
}

/// Confined to its loop.
private final class FactsEcho: ConnectionHandler {
    private let closes: Events<CloseReason>

    init(_ closes: Events<CloseReason>) {
        self.closes = closes
    }

    func connection(_ connection: Connection, received bytes: Span<UInt8>) {
        let text = bytes.withUnsafeBufferPointer { String(decoding: $0.suffix(100), as: UTF8.self) }
        if text.contains("facts") {
            let tls = connection.tls
            let words = [
                tls?.version.rawValue ?? "plain", tls?.applicationProtocol ?? "-", tls?.serverName ?? "-",
                tls?.isResumed == true ? "resumed" : "new", tls?.cipher ?? "-",
            ]
            connection.write(Array("facts: \(words.joined(separator: " "))\n".utf8))
            let addresses = [connection.remoteAddress, connection.peerAddress].map { $0?.host ?? "-" }
            connection.write(Array("from: \(addresses.joined(separator: " "))\n".utf8))
        } else if case .pending = connection.write(bytes) {
            connection.pauseReading()
        }
        if text.contains("quit") { connection.closeWhenFlushed() }
    }

    func connectionReachedEnd(_ connection: Connection) { connection.closeWhenFlushed() }
    func connectionDrained(_ connection: Connection) { connection.resumeReading() }
    func connectionClosed(_ connection: Connection, _ reason: CloseReason) { closes.emit(reason) }
}

func withTLSServer<Value>(
    _ names: [TestCertificates.Name] = [.server],
    configure: @Sendable (inout TLSServerOptions, TestCertificates) throws -> Void = { _, _ in },
    listener adjust: @escaping @Sendable (inout ListenerOptions) -> Void = { _ in },
    _ body: (TLSServerPeer) async throws -> Value
) async throws -> Value {
    try await withCertificates { certificates in
        var options = TLSServerOptions(
            certificates: names.map { .init(certificate: certificates.certificate($0), key: certificates.key($0)) }
        )
        try configure(&options, certificates)
        let identity = try TLSServerIdentity(options)
        return try await LoopGroup.withLoops(count: 1) { group in
            let loop = group.loops[0]
            let socket = try ListenSocket.open(Endpoint(host: "127.0.0.1", port: 0))[0]
            let (failures, closes) = (Events<ArrivalFailure>(), Events<CloseReason>())
            let listener = try await loop.run {
                var options = ListenerOptions()
                options.tls = identity
                options.turnedAway = { failure, _ in failures.emit(failure) }
                adjust(&options)
                let listener = try Listener(socket, on: loop, options: options) { connection in
                    connection.start(FactsEcho(closes))
                }
                return LoopBound(listener, loop: loop)
            }
            let peer = TLSServerPeer(
                port: socket.address.port ?? 0,
                identity: identity,
                certificates: certificates,
                loop: loop,
                failures: failures,
                closes: closes,
                listener: listener
            )
            let value = try await body(peer)
            try await loop.run { listener.value.close() }
            return value
        }
    }
}
