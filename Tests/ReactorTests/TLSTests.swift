// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Reactor
import TestSupport
import Testing

@Suite(.serialized) struct TLSTests {
    /// An ECHO of so many bytes, and its answer.
    private static func echo(_ count: Int) -> (command: [UInt8], answer: [UInt8]) {
        let text = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 12) }
        let argument = Array("$\(count)\r\n".utf8) + text + Array("\r\n".utf8)
        return (Array("*2\r\n$4\r\nECHO\r\n".utf8) + argument, argument)
    }

    @Test(arguments: ["TLSv1.2", "TLSv1.3"])
    func manyMegabytesPassBothWays(_ version: String) async throws {
        try await withTLSPeer(arguments: ["--tls-protocols", version]) { peer in
            let client = try await peer.connect().get()
            // Queued as a whole, and then from a log that keeps its own bytes: both go through refused records and drains.
            let (command, answer) = Self.echo(4_000_000)
            let outcome = try await client.loop.run { client.connection.write(command) }
            #expect(outcome != .closed && outcome != .refused)
            #expect(try await client.bytes(answer.count) == answer)
            client.stream(command)
            #expect(try await client.bytes(2 * answer.count) == answer + answer)
        }
    }

    @Test func whatWasTakenGoesAndTheNextBytesMayBeOthers() async throws {
        try await withTLSPeer { peer in
            let client = try await peer.connect().get()
            peer.redis.pause()
            // Empty lines, which Redis skips: it doesn't matter where this is cut off.
            let lines = [UInt8](repeating: UInt8(ascii: "\n"), count: 1_000_000)
            let (taken, refused, pending) = try await client.loop.run {
                var taken = 0
                while let count = client.connection.writeSome(lines.span), count > 0 { taken += count }
                return (taken, client.connection.writeSome(Array("PING\n".utf8).span), client.connection.pendingBytes)
            }
            #expect(taken > 100_000)
            #expect(refused == 0)
            // The record that OpenSSL has begun with, and no more.
            #expect(pending <= 16 * 1024)
            peer.redis.resume()
            try await client.events.until("the drain") { $0.contains(.drained) }
            let outcome = try await client.loop.run { client.connection.write(Array("PING\n".utf8)) }
            #expect(outcome != .closed)
            #expect(try await client.bytes(7) == Array("+PONG\r\n".utf8))
        }
    }

    @Test func aPausedConnectionReadsNothingUntilResumed() async throws {
        try await withTLSPeer { peer in
            let client = try await peer.connect().get()
            let (command, answer) = Self.echo(300_000)
            try await client.loop.run {
                client.connection.pauseReading()
                client.connection.write(command + Array("INCR arrived\r\n".utf8))
            }
            _ = try await eventually("the command's arrival") {
                "\(try await peer.redis.command("EXISTS", "arrived"))".contains("1") ? true : nil
            }
            for _ in 0..<20 { try await client.loop.run {} }
            #expect(!client.events.all.contains { if case .received = $0 { true } else { false } })
            try await client.loop.run { client.connection.resumeReading() }
            #expect(try await client.bytes(answer.count).starts(with: answer))
        }
    }

    @Test func anOrderlyEndIsToldApartFromATruncatedStream() async throws {
        try await withTLSPeer { peer in
            let orderly = try await peer.connect().get()
            try await orderly.loop.run { _ = orderly.connection.write(Array("QUIT\r\n".utf8)) }
            try await orderly.events.until("the end") { $0.contains(.end) }
            #expect(try await orderly.bytes(5) == Array("+OK\r\n".utf8))
            let cut = try await peer.connect().get()
            // Its kernel sends a FIN for it, without a close_notify before.
            await peer.redis.kill()
            try await cut.events.until("the reset") { $0.contains(.closed(.reset)) }
        }
    }

    @Test func closingSendsWhatIsPendingAndAFarewell() async throws {
        try await withTLSPeer { peer in
            let client = try await peer.connect().get()
            // What TLS 1.3 sends after the handshake is read by then; unread bytes would make the close a reset.
            try await client.loop.run { _ = client.connection.write(Array("PING\r\n".utf8)) }
            _ = try await client.bytes(7)
            peer.redis.pause()
            let value = String(repeating: "x", count: 8_000_000)
            let outcome = try await client.loop.run {
                let outcome = client.connection.write(Array("*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$\(value.utf8.count)\r\n\(value)\r\n".utf8))
                client.connection.closeWhenFlushed()
                return outcome
            }
            guard case .pending = outcome else {
                Issue.record("8 MB went into a paused peer: \(outcome)")
                return
            }
            peer.redis.resume()
            try await client.events.until("the close") { $0.contains(.closed(.local)) }
            _ = try await eventually("the value") { "\(try await peer.redis.command("STRLEN", "key"))".contains("8000000") ? true : nil }
        }
    }

    @Test func aCloseSaysAFarewellAndAnAbortNone() async throws {
        try await withTLSPeer { peer in
            for isAbort in [false, true] {
                let loop = peer.loop
                let relay = try await loop.run { try TLSRelay(to: Endpoint(host: "127.0.0.1", port: peer.port), on: loop) }
                let context = try TLSContext(authorities: peer.certificates.authority)
                let client = try await peer.connect(relay.endpoint, context, timeout: .seconds(60)).get()
                try await loop.run { _ = client.connection.write(Array("PING\r\n".utf8)) }
                _ = try await client.bytes(7)
                let before = relay.events.all.count
                try await loop.run { isAbort ? client.connection.abort() : client.connection.close() }
                let events = try await relay.events.until("the end") { $0.contains { if case .closed = $0 { true } else { false } } }
                #expect(events.dropFirst(before) == (isAbort ? [.closed(.reset)] : [.sent, .end, .closed(.local)]))
            }
        }
    }

    @Test func withoutANameNoCertificateIsGoodEnough() async throws {
        try await withTLSPeer { peer in
            let endpoint = try Endpoint(parsing: "unix:\(NSTemporary.path)/nameless.sock")
            let sockets = try ListenSocket.open(endpoint)
            let error = try await failure(peer.connect(endpoint, TLSContext(), timeout: .seconds(60)))
            #expect(error.code == .tlsFailed)
            #expect(error.message.contains("no certificate can be checked"), "\(error.message)")
            withExtendedLifetime(sockets) {}
        }
    }

    @Test func ourEndLeavesTheAnswerItsTime() async throws {
        try await withTLSPeer { peer in
            let client = try await peer.connect().get()
            try await client.loop.run {
                client.connection.write(Array("PING\r\n".utf8))
                client.connection.shutdownOutput()
                client.connection.shutdownOutput()
            }
            let outcome = try await client.loop.run { client.connection.write([1]) }
            #expect(outcome == .closed)
            // Redis answers and then closes without a farewell of its own.
            try await client.events.until("the close") { $0.contains(.closed(.reset)) }
            #expect(try await client.bytes(7) == Array("+PONG\r\n".utf8))
        }
    }

    @Test func theRightNameAndAuthorityAreNeeded() async throws {
        try await withTLSPeer { peer in
            _ = try await peer.connect(to: "localhost").get()
            for authority in [peer.certificates.otherAuthority, peer.certificates.certificate(.client)] {
                let error = try await failure(peer.connect(trusting: authority))
                #expect(error.code == .tlsFailed)
                #expect(error.message.contains("certificate is refused"), "\(error.message)")
            }
            // Of the system's authorities none has signed it.
            let system = try await peer.connect(Endpoint(host: "127.0.0.1", port: peer.port), TLSContext(), timeout: .seconds(60))
            #expect(try failure(system).message.contains("certificate is refused"))
        }
    }

    @Test(arguments: [
        (TestCertificates.Name.elsewhere, "127.0.0.1", "IP address mismatch"), (.elsewhere, "localhost", "ostname mismatch"),
        (.expired, "127.0.0.1", "certificate has expired"),
    ])
    func aCertificateForAnotherNameOrTimeIsRefused(_ name: TestCertificates.Name, _ host: String, _ reason: String) async throws {
        try await withTLSPeer(name) { peer in
            let error = try await failure(peer.connect(to: host))
            #expect(error.code == .tlsFailed)
            #expect(error.message.contains(reason), "\(error.message)")
        }
    }

    @Test func aPeerMayAskForACertificate() async throws {
        try await withTLSPeer(verifies: true) { peer in
            let known = try await peer.connect(as: .client).get()
            try await known.loop.run { _ = known.connection.write(Array("PING\r\n".utf8)) }
            #expect(try await known.bytes(7) == Array("+PONG\r\n".utf8))
            // With TLS 1.3 the refusal comes after our side of the handshake, together with a reset that the next write may find first.
            for _ in 0..<5 {
                let unknown = try await peer.connect().get()
                try await unknown.loop.run { _ = unknown.connection.write(Array("PING\r\n".utf8)) }
                let last = try await unknown.events.until("the refusal") { $0.contains { if case .closed = $0 { true } else { false } } }
                    .last
                guard case .closed(.failed(let error)) = last else {
                    Issue.record("refused without a reason: \(String(describing: last))")
                    continue
                }
                #expect(error.code == .tlsFailed)
                #expect(error.message.contains("certificate required"), "\(error.message)")
            }
        }
        try await withTLSPeer(verifies: true, arguments: ["--tls-protocols", "TLSv1.2"]) { peer in
            let error = try await failure(peer.connect())
            #expect(error.code == .tlsFailed)
            #expect(error.message.contains("alert handshake failure"), "\(error.message)")
        }
    }

    @Test func olderVersionsAreRefused() async throws {
        try await withTLSPeer(arguments: ["--tls-protocols", "TLSv1.1", "--tls-ciphers", "ALL:@SECLEVEL=0"]) { peer in
            let error = try await failure(peer.connect())
            #expect(error.code == .tlsFailed)
        }
    }

    @Test func aSilentPeerTimesOutInTheHandshake() async throws {
        try await withTLSPeer { peer in
            peer.redis.pause()
            let error = try await failure(peer.connect(timeout: .seconds(3)))
            #expect(error.code == .connectTimedOut)
            #expect(error.message.contains("TLS handshake"))
            peer.redis.resume()
            _ = try await peer.connect().get()
        }
    }

    @Test func aPlainPeerIsTold() async throws {
        try await withTLSPeer { peer in
            let sockets = try ListenSocket.open(Endpoint(host: "127.0.0.1", port: 0))
            let loop = peer.loop
            let listener = try await loop.run {
                let listener = try Listener(sockets[0], on: loop) { connection in
                    connection.write(Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8))
                    connection.closeWhenFlushed()
                }
                return LoopBound(listener, loop: loop)
            }
            let context = try TLSContext(authorities: peer.certificates.authority)
            let error = try failure(await peer.connect(Endpoint(sockets[0].address), context, timeout: .seconds(60)))
            #expect(error.code == .tlsFailed)
            #expect(error.message.contains("doesn't speak TLS"), "\(error.message)")
            try await loop.run { listener.value.close() }
        }
    }

    @Test func filesThatCanNotBeUsedAreNamedByTheirUse() async throws {
        try await withCertificates { certificates in
            let missing = certificates.missing
            let encrypted = missing + ".key"
            try "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n"
                .write(toFile: encrypted, atomically: true, encoding: .utf8)
            let server = certificates.certificate(.server)
            for (attempt, reason) in [
                (Attempt(authorities: missing), "trusted certificates can't be used: No such file or directory"),
                (Attempt(authorities: certificates.key(.client)), "trusted certificates can't be used: no certificate or crl found"),
                (Attempt(certificate: missing, key: missing), "own certificate can't be used: No such file"),
                (
                    Attempt(certificate: server, key: missing),
                    "key of our own certificate can't be used (it must be PEM, without a password)"
                ),
                (Attempt(certificate: server, key: encrypted), "without a password"),
                (Attempt(certificate: server, key: certificates.key(.client)), "mismatch"),
                (Attempt(certificate: server), "needs its key"),
                (Attempt(key: missing), "the key its certificate"),
            ] {
                let error = #expect(throws: ReactorError.self) {
                    try TLSContext(authorities: attempt.authorities, certificate: attempt.certificate, key: attempt.key)
                }
                #expect(error?.code == .tlsFailed)
                #expect(error?.message.contains(reason) == true, "\(String(describing: error))")
            }
        }
    }

    private struct Attempt {
        var authorities: String?
        var certificate: String?
        var key: String?
    }

    private func failure(_ result: Result<TLSClientSide, ReactorError>) throws -> ReactorError {
        switch result {
        case .failure(let error): return error
        case .success: throw DeadlinePassed("a refusal")
        }
    }
}
