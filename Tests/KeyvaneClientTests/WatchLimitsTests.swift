// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import KeyvaneClient
import NIOCore
import NIOSSL
import NIOWebSocket
import Testing

@Suite("A watch's limits and its end", .timeLimit(.minutes(2)))
struct WatchLimitsTests {
    private static let environment = GoldenMessages.environment

    @Test("a slow consumer gets the newest state, and the gateway notices nothing")
    func slowConsumer() async throws {
        let filler = String(repeating: "x", count: 8_000)
        let (sent, sender) = AsyncStream<Void>.makeStream()
        try await ScriptedGateway.run { _, socket in
            try await socket.subscribe()
            try await socket.send(try GoldenMessages.json(GoldenMessages.snapshot(0, ["KEEP": "kept"])))
            for revision in 1...1_000 {
                let change = GoldenMessages.changes(revision - 1, revision, [("N\(revision % 10)", "\(revision) \(filler)")])
                try await socket.send(try GoldenMessages.json(change))
            }
            try await socket.settle()
            sender.finish()
            _ = try await socket.closeCode()
        } _: { gateway in
            let watch = try gateway.client { $0.watch.bufferLimit = 100_000 }.events(Self.environment)
            var events = watch.makeAsyncIterator()
            guard case .snapshot(let snapshot) = try await events.next() else { throw ScriptedSocket.Closed() }
            var configuration = EnvironmentConfiguration(snapshot)
            for await _ in sent {}
            var count = 0
            while configuration.revision < 1_000, let event = try await events.next() {
                count += 1
                switch event {
                case .connected, .disconnected: Issue.record("the connection should have stayed")
                case .snapshot(let snapshot): configuration = EnvironmentConfiguration(snapshot)
                case .changes(let changes):
                    #expect(changes.previousRevision == configuration.revision)
                    configuration.apply(changes)
                }
            }
            #expect(count < 100)
            #expect(configuration["KEEP"] == "kept")
            for revision in 991...1_000 { #expect(configuration["N\(revision % 10)"] == "\(revision) \(filler)") }
        }
    }

    @Test("changes that merge to nothing smaller are dropped and made up for by a snapshot")
    func overflow() async throws {
        let (sent, sender) = AsyncStream<Void>.makeStream()
        try await ScriptedGateway.run { _, socket in
            let first = try await socket.subscribe()
            #expect(first.since == WatchCursor(revision: 0))
            var revision = 0
            try await socket.send(try GoldenMessages.json(GoldenMessages.changes(0, 0, [])))
            while revision < 1_000 {
                revision += 1
                try await socket.send(try GoldenMessages.json(GoldenMessages.changes(revision - 1, revision, [("N\(revision)", "v")])))
            }
            let again = try await socket.subscribe()
            #expect(again.since == nil)
            try await socket.send(try GoldenMessages.json(GoldenMessages.snapshot(revision, ["ALL": "here"])))
            sender.finish()
            _ = try await socket.closeCode()
        } _: { gateway in
            let client = try gateway.client {
                $0.watch.bufferLimit = 10_000
                $0.watch.receiveLimit = 100_000
            }
            var events = client.events(Self.environment, since: WatchCursor(revision: 0)).makeAsyncIterator()
            guard case .changes = try await events.next() else { throw ScriptedSocket.Closed() }
            for await _ in sent {}
            while let event = try await events.next() {
                guard case .snapshot(let snapshot) = event else { continue }
                #expect(snapshot.entries.map(\.name) == ["ALL"])
                break
            }
        }
    }

    @Test("a snapshot of 20 MiB comes through in fragments, with a ping in between")
    func large() async throws {
        let values = Dictionary(uniqueKeysWithValues: (0..<320).map { ("N\($0)", String(repeating: "v", count: 65_536)) })
        let text = try GoldenMessages.json(GoldenMessages.snapshot(3, values))
        try await ScriptedGateway.run { _, socket in
            try await socket.subscribe()
            var rest = ByteBuffer(string: text)
            var opcode = WebSocketOpcode.text
            while let part = rest.readSlice(length: min(1_000_000, rest.readableBytes)), part.readableBytes > 0 {
                try await socket.send(WebSocketFrame(fin: rest.readableBytes == 0, opcode: opcode, data: part))
                opcode = .continuation
                if rest.readableBytes > 0 { try await socket.settle() }
            }
            try await socket.send(text)
            _ = try await socket.closeCode()
        } _: { gateway in
            var events = try gateway.client().events(Self.environment).makeAsyncIterator()
            for _ in 0..<2 {
                guard case .snapshot(let snapshot) = try await events.next() else { throw ScriptedSocket.Closed() }
                #expect(EnvironmentConfiguration(snapshot).values == values)
            }
        }
    }

    @Test("a message beyond the receive limit ends the watch and says what to do", arguments: [false, true])
    func tooLarge(isFragmented: Bool) async throws {
        try await ScriptedGateway.run { _, socket in
            try await socket.subscribe()
            let part = ByteBuffer(repeating: UInt8(ascii: " "), count: isFragmented ? 30_000 : 70_000)
            for index in 0..<(isFragmented ? 3 : 1) {
                try await socket.send(WebSocketFrame(fin: !isFragmented, opcode: index == 0 ? .text : .continuation, data: part))
            }
            #expect(try await socket.closeCode() == 1_009)
        } _: { gateway in
            var events = try gateway.client { $0.watch.receiveLimit = 65_536 }.events(Self.environment).makeAsyncIterator()
            let error = await #expect(throws: ClientError.self) { while try await events.next() != nil {} }
            #expect(error?.code == "message_too_large")
        }
    }

    @Test("configurations are whole, and nothing is told twice")
    func configurations() async throws {
        try await ScriptedGateway.run { connection, socket in
            let message = try await socket.subscribe()
            switch connection {
            case 0:
                #expect(message.since == nil)
                try await socket.send(try GoldenMessages.json(GoldenMessages.snapshot(1, ["A": "1", "B": "1"])))
                try await socket.send(try GoldenMessages.json(GoldenMessages.changes(1, 3, [("A", "3"), ("B", nil)])))
                try await socket.settle()
            case 1:
                #expect(message.since == GoldenMessages.cursor(3))
                try await socket.send(try GoldenMessages.json(GoldenMessages.changes(3, 3, [])))
                try await socket.send(try GoldenMessages.json(GoldenMessages.changes(3, 4, [("C", "4")])))
                _ = try await socket.closeCode()
            default:
                #expect(message.since == GoldenMessages.cursor(4))
                try await socket.send(try GoldenMessages.json(GoldenMessages.changes(4, 4, [])))
                _ = try await socket.closeCode()
            }
        } _: { gateway in
            let client = try gateway.client()
            var seen: [EnvironmentConfiguration] = []
            for try await configuration in client.watch(Self.environment) {
                seen.append(configuration)
                if configuration.revision == 4 { break }
            }
            #expect(seen.map(\.values) == [["A": "1", "B": "1"], ["A": "3"], ["A": "3", "C": "4"]])
            // A stored configuration is confirmed as it is.
            var resumed = client.watch(Self.environment, startingFrom: seen.last).makeAsyncIterator()
            #expect(try await resumed.next() == seen.last)
        }
    }

    @Test("the end of the reading task ends the connection")
    func cancelled() async throws {
        let (closes, closed) = AsyncStream<Int?>.makeStream()
        try await ScriptedGateway.run { _, socket in
            try await socket.subscribe()
            try await socket.send(try GoldenMessages.json(GoldenMessages.snapshot(1, [:])))
            closed.yield(try await socket.closeCode())
        } _: { gateway in
            let client = try gateway.client()
            let (started, starter) = AsyncStream<Void>.makeStream()
            // Awaited below.
            let reader = Task {
                var count = 0
                for try await _ in client.events(Self.environment) {
                    count += 1
                    starter.finish()
                }
                return count
            }
            for await _ in started {}
            reader.cancel()
            #expect(try await reader.value == 1)
            var codes = closes.makeAsyncIterator()
            #expect(await codes.next() == 1_000)

            // Leaving the loop drops the sequence, and that is enough.
            for try await _ in client.events(Self.environment) { break }
            #expect(await codes.next() == 1_000)

            let stopped = client.events(Self.environment)
            var events = stopped.makeAsyncIterator()
            _ = try await events.next()
            stopped.stop()
            #expect(try await events.next() == nil)
            #expect(await codes.next() == 1_000)
        }
    }

    @Test("TLS: a certificate of a trusted authority is taken, any other isn't")
    func tls() async throws {
        let files = try TestCertificate()
        defer { files.remove() }
        let certificates = try NIOSSLCertificate.fromPEMFile(files.certificate)
        let key = try NIOSSLPrivateKey(file: files.key, format: .pem)
        let server = TLSConfiguration.makeServerConfiguration(
            certificateChain: certificates.map { .certificate($0) },
            privateKey: .privateKey(key)
        )
        try await ScriptedGateway.run(
            tls: server,
            http: .init { _ in ScriptedGateway.Answer(body: #"{"id":"ab12cd34","grants":[]}"#) }
        ) { _, socket in
            try await socket.subscribe()
            try await socket.send(try GoldenMessages.json(GoldenMessages.snapshot(1, [:])))
            _ = try await socket.closeCode()
        } _: { gateway in
            for host in ["localhost", "127.0.0.1"] {
                var settings = ClientSettings(url: "https://\(host):\(gateway.port)", token: "kv_test")
                settings.tls = .makeClientConfiguration()
                settings.tls?.trustRoots = .certificates(certificates)
                try await ConfigurationClient.withClient(settings) { client in
                    var events = client.events(Self.environment).makeAsyncIterator()
                    let event = try await events.next()
                    #expect(event == .snapshot(GoldenMessages.snapshot(1, [:])))
                    let token = try await client.whoami()
                    #expect(token.id == "ab12cd34")
                }
            }
            let other = try TestCertificate()
            defer { other.remove() }
            var settings = ClientSettings(url: "https://localhost:\(gateway.port)", token: "kv_test")
            settings.tls = .makeClientConfiguration()
            settings.tls?.trustRoots = .file(other.certificate)
            var events = try ConfigurationClient(settings).events(Self.environment).makeAsyncIterator()
            guard case .disconnected(let interruption) = try await events.next() else { throw ScriptedSocket.Closed() }
            #expect(interruption.error.code == "unreachable")
        }
    }
}

/// A fresh certificate for localhost, of its own authority.
private struct TestCertificate {
    let certificate: String
    let key: String
    private let folder: URL

    init() throws {
        folder = FileManager.default.temporaryDirectory.appending(path: "keyvane-client-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        certificate = folder.appending(path: "certificate.pem").path
        key = folder.appending(path: "key.pem").path
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", certificate,
        ]
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0)
    }

    func remove() {
        try? FileManager.default.removeItem(at: folder)
    }
}
