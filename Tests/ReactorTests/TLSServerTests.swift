// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor
import TestSupport
import Testing

/// Our server side against OpenSSL's client and our own.
@Suite(.serialized) struct TLSServerTests {
    @Test(arguments: ["-tls1_2", "-tls1_3"])
    func bothVersionsWithForwardSecrecyAndAuthenticatedCiphers(_ version: String) async throws {
        try await withTLSServer { server in
            for cipher in version == "-tls1_2" ? ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"] : [] {
                let outcome = try await server.openssl(version, "-cipher", cipher)
                #expect(outcome.text.contains(" \(cipher)\n"), "\(outcome.text)")
            }
            let outcome = try await server.openssl(version, "-verify_return_error", "-servername", "LOCALHOST")
            #expect(outcome.text.contains("facts: \(version == "-tls1_2" ? "1.2" : "1.3") - localhost new"), "\(outcome.text)")
            #expect(outcome.text.contains("Verification: OK"))
            #expect(outcome.text.contains("Secure Renegotiation IS"))
            for weak in version == "-tls1_2" ? ["ECDHE-ECDSA-AES128-SHA256", "AES128-GCM-SHA256"] : [] {
                #expect(try await server.openssl(version, "-cipher", weak).text.contains("handshake failure"))
            }
        }
    }

    @Test func olderVersionsAndOthersThanTheMinimumAreRefused() async throws {
        try await withTLSServer { server in
            let old = try await server.openssl("-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
            #expect(old.text.contains("alert protocol version"), "\(old.text)")
            try await server.failures.until("the failure") { $0.count == 1 }
        }
        try await withTLSServer(configure: { options, _ in options.minimum = .v13 }) { server in
            let refused = try await server.openssl("-tls1_2")
            #expect(refused.text.contains("alert protocol version"))
            #expect(try await server.openssl().text.contains("facts: 1.3"))
        }
    }

    @Test func theNameChoosesTheCertificate() async throws {
        try await withTLSServer([.server, .elsewhere, .wildcard]) { server in
            #expect(server.identity?.serverNames == ["*.wild.example", "elsewhere.example", "localhost", "wild.example"])
            for (name, subject) in [
                ("localhost", "server"), ("elsewhere.example", "elsewhere"), ("a.wild.example", "wildcard"), ("wild.example", "wildcard"),
                // A wildcard is one label; unknown names get the first.
                ("a.b.wild.example", "server"), ("unknown.example", "server"), ("ELSEWHERE.Example", "elsewhere"),
            ] {
                let outcome = try await server.openssl("-servername", name)
                #expect(outcome.text.contains("subject=CN = \(subject)\n"), "\(name): \(outcome.text)")
                #expect(outcome.text.contains("facts: 1.3 - \(name.lowercased()) new"))
            }
            #expect(try await server.openssl("-noservername").text.contains("subject=CN = server\n"))
        }
    }

    @Test func theProtocolIsOursToPrefer() async throws {
        try await withTLSServer(configure: { options, _ in options.applicationProtocols = ["h2", "http/1.1"] }) { server in
            let both = try await server.openssl("-alpn", "http/1.1,h2")
            #expect(both.text.contains("facts: 1.3 h2 "))
            #expect(try await server.openssl("-alpn", "spdy/3,http/1.1").text.contains("facts: 1.3 http/1.1 "))
            #expect(try await server.openssl().text.contains("facts: 1.3 - "))
            #expect(try await server.openssl("-alpn", "acme-tls/1").text.contains("no application protocol"))
        }
    }

    @Test(arguments: ["-tls1_2", "-tls1_3"])
    func aSessionIsTakenUpAgainAlsoAfterAChangeOfCertificates(_ version: String) async throws {
        try await withTLSServer { server in
            let session = server.certificates.file("session")
            let first = try await server.openssl(version, "-servername", "localhost", "-sess_out", session)
            #expect(first.text.contains(" localhost new "))
            let second = try await server.openssl(version, "-servername", "localhost", "-sess_in", session, "-sess_out", session)
            #expect(second.text.contains(" localhost resumed "), "\(second.text)")
            var options = TLSServerOptions(certificates: [.init(combined: try server.certificates.combined(.wildcard))])
            try server.identity?.replace(options)
            #expect(try await server.openssl(version, "-servername", "localhost", "-sess_in", session).text.contains(" resumed "))
            // Where clients must show a certificate, a ticket from before is worth nothing.
            options.clientAuthorities = server.certificates.authority
            try server.identity?.replace(options)
            let refused = try await server.openssl(version, "-servername", "localhost", "-sess_in", session)
            #expect(!refused.text.contains("facts:"), "\(refused.text)")
        }
    }

    @Test func clientsMustShowACertificateWhereOneIsAskedFor() async throws {
        try await withTLSServer(configure: { options, certificates in options.clientAuthorities = certificates.authority }) { server in
            let files = server.certificates
            let known = try await server.openssl(
                "-cert",
                files.certificate(.client),
                "-key",
                files.key(.client),
                "-sess_out",
                files.file("s")
            )
            #expect(known.text.contains("facts: 1.3"), "\(known.text)")
            #expect(known.text.contains("Acceptable client certificate CA names\nCN = authority"))
            let again = try await server.openssl(
                "-cert",
                files.certificate(.client),
                "-key",
                files.key(.client),
                "-sess_in",
                files.file("s")
            )
            #expect(again.text.contains(" resumed "))
            for arguments in [[], ["-cert", files.certificate(.expired), "-key", files.key(.expired)]] {
                for version in ["-tls1_2", "-tls1_3"] {
                    let outcome = try await ForeignClient.run(
                        ["openssl", "s_client", "-connect", "127.0.0.1:\(server.port)", "-ign_eof", version] + arguments,
                        input: "facts\n"
                    )
                    #expect(!outcome.text.contains("facts:"))
                }
            }
            let failures = try await server.failures.until("the refusals") { $0.count == 4 }
            #expect(failures.allSatisfy { $0.code == "handshake_failed" })
            let ours = try await server.connect(as: .client).get()
            try await ours.loop.run { _ = ours.connection.write(Array("hello".utf8)) }
            #expect(try await ours.bytes(5) == Array("hello".utf8))
        }
    }

    @Test func aChangeUnderLoadTouchesNobodyAndAFaultChangesNothing() async throws {
        try await withTLSServer { server in
            let old = try await server.connect().get()
            let files = server.certificates
            for round in 0..<10 {
                let options = TLSServerOptions(certificates: [
                    .init(
                        certificate: files.certificate(round % 2 == 0 ? .client : .server),
                        key: files.key(round % 2 == 0 ? .client : .server)
                    )
                ])
                try server.identity?.replace(options)
                let fresh = try await server.connect().get()
                try await server.loop.run {
                    fresh.connection.write(Array("fresh".utf8))
                    old.connection.write(Array("old".utf8))
                }
                #expect(try await fresh.bytes(5) == Array("fresh".utf8))
                _ = try await old.bytes(3 * (round + 1))
            }
            #expect(throws: ReactorError.self) {
                try server.identity?.replace(TLSServerOptions(certificates: [.init(combined: files.missing)]))
            }
            #expect(throws: ReactorError.self) {
                try server.identity?.replace(
                    TLSServerOptions(certificates: [.init(certificate: files.certificate(.server), key: files.key(.client))])
                )
            }
            _ = try await server.connect().get()
            #expect(server.failures.all.isEmpty)
        }
    }

    @Test func manyMegabytesPassBothWays() async throws {
        try await withTLSServer { server in
            let client = try await server.connect().get()
            let sent = (0..<16_000_000).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 12) }
            client.stream(sent)
            #expect(try await client.bytes(sent.count) == sent)
            // A half-closed client still gets its answer, and a farewell.
            try await client.loop.run {
                client.connection.write(Array("last words".utf8))
                client.connection.shutdownOutput()
            }
            try await client.events.until("the end") { $0.contains(.end) }
            #expect(try await client.bytes(sent.count + 10).suffix(10) == Array("last words".utf8))
        }
    }

    @Test func recordsThatCameInPiecesAreWhole() async throws {
        try await withTLSServer { server in
            // The relay cuts the stream anywhere, at the handshake and behind.
            let (loop, port) = (server.loop, server.port)
            let relay = try await loop.run { try TLSRelay(to: Endpoint(host: "127.0.0.1", port: port), piece: 1237, on: loop) }
            let outcome = try await ForeignClient.run(
                ["openssl", "s_client", "-connect", relay.endpoint.description, "-ign_eof", "-quiet"],
                input: String(repeating: "0123456789abcdef", count: 3000) + "\nquit\n"
            )
            #expect(outcome.text.contains(String(repeating: "0123456789abcdef", count: 3000)), "\(outcome.text.suffix(300))")
        }
    }

    @Test func theSlowAndTheWrongAreTurnedAway() async throws {
        try await withTLSServer(listener: { $0.timeout = .seconds(4) }) { server in
            let silent = try RawSocket(port: server.port)
            let dripping = try RawSocket(port: server.port)
            dripping.write([0x16, 0x03])
            #expect(silent.read().isEmpty)
            #expect(dripping.read().isEmpty)
            #expect(try await server.failures.until("both") { $0.count == 2 } == [.timedOut, .timedOut])
            let plain = try RawSocket(port: server.port)
            plain.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            _ = await plain.readToEnd()
            let noise = try RawSocket(port: server.port)
            noise.write([UInt8](repeating: 0xff, count: 40_000))
            _ = await noise.readToEnd()
            let gone = try RawSocket(port: server.port)
            gone.write([0x16])
            gone.reset()
            #expect(try await server.failures.until("all") { $0.count == 5 }.suffix(3).allSatisfy { $0.code == "handshake_failed" })
            // Whoever is in has all the time in the world.
            let client = try await server.connect().get()
            let late = try RawSocket(port: server.port)
            #expect(late.read().isEmpty)
            try await client.loop.run { _ = client.connection.write(Array("hello".utf8)) }
            #expect(try await client.bytes(5) == Array("hello".utf8))
        }
    }

    @Test func closingTheListenerEndsPendingHandshakesOnly() async throws {
        try await withTLSServer { server in
            let client = try await server.connect().get()
            let pending = try RawSocket(port: server.port)
            // Accepted before this one, whose handshake is complete.
            _ = try await server.connect().get()
            try await server.loop.run { server.listener.value.close() }
            #expect(pending.read().isEmpty)
            try await client.loop.run { _ = client.connection.write(Array("hello".utf8)) }
            #expect(try await client.bytes(5) == Array("hello".utf8))
        }
    }

    @Test func aFarewellBehindBytesIsHeardWithoutAnotherEvent() async throws {
        try await withTLSServer { server in
            let client = try await server.connect().get()
            try await client.loop.run {
                client.connection.write(Array("bytes and a farewell in one piece".utf8))
                client.connection.shutdownOutput()
            }
            try await client.events.until("the end") { $0.contains(.end) }
            #expect(try await server.closes.first() == .local)
        }
    }

    @Test func renegotiationIsRefused() async throws {
        try await withTLSServer { server in
            let outcome = try await ForeignClient.run(
                ["openssl", "s_client", "-connect", "127.0.0.1:\(server.port)", "-tls1_2"],
                input: "R\n"
            )
            #expect(outcome.text.contains("no renegotiation"), "\(outcome.text)")
        }
    }

    @Test func curlIsContent() async throws {
        try await withTLSServer { server in
            let outcome = try await ForeignClient.run([
                "curl", "--silent", "--show-error", "--http0.9", "--cacert", server.certificates.authority,
                "--max-time", "60", "-X", "quit", "https://localhost:\(server.port)/",
            ])
            #expect(outcome.code == 0 && outcome.text.contains("quit / HTTP/1.1"), "\(outcome)")
        }
    }
}
