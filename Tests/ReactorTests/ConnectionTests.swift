// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Reactor
import TestSupport
import Testing

@Suite struct ConnectionTests {
    @Test(arguments: ["127.0.0.1:0", "[::1]:0", "unix:\(NSTemporary.path)/echo.sock"])
    func bytesComeBackInOrder(_ address: String) async throws {
        try await withEchoPair(address) { pair in
            let sent = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
            pair.send(sent)
            let received = try await pair.bytes(count: sent.count)
            #expect(received == sent)
        }
    }

    @Test func manyMegabytesPassThroughTheBoundedBuffers() async throws {
        try await withEchoPair("127.0.0.1:0") { pair in
            // Larger than all socket buffers together, so that both sides go through pending bytes and drains.
            let sent = (0..<32_000_000).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 12) }
            pair.send(sent)
            let received = try await pair.bytes(count: sent.count)
            #expect(received == sent)
        }
    }

    @Test func aFullPendingBufferRefusesWholeWrites() async throws {
        try await withStalledPeer { loop, connection, recorder in
            let outcomes = try await loop.run {
                let connection = connection.value
                connection.pendingLimit = 100_000
                // The first write may be larger than the limit: a started message is always finished.
                let first = connection.write([UInt8](repeating: 1, count: 8_000_000))
                let before = connection.pendingBytes
                let second = connection.write([UInt8](repeating: 2, count: 1))
                return (first, second, before, connection.pendingBytes)
            }
            guard case .pending(let waiting) = outcomes.0 else {
                Issue.record("8 MB went into a stalled socket at once: \(outcomes.0)")
                return
            }
            #expect(waiting == outcomes.2)
            #expect(outcomes.1 == .refused)
            #expect(outcomes.2 == outcomes.3)
            #expect(recorder.events.all.isEmpty)
        }
    }

    @Test func writeSomeKeepsNothingAndTellsWhenThereIsRoom() async throws {
        try await withStalledPeer { loop, connection, recorder in
            let chunk = [UInt8](repeating: 7, count: 1_000_000)
            let sent = try await loop.run {
                var sent = 0
                while let count = connection.value.writeSome(chunk.span), count > 0 { sent += count }
                return sent
            }
            let pending = try await loop.run { connection.value.pendingBytes }
            #expect(pending == 0)
            recorder.peer.skip(count: sent)
            try await recorder.events.until("the drain") { $0.contains(.drained) }
        }
    }

    @Test func aHalfClosedPeerStillGetsItsAnswer() async throws {
        try await withEchoPair("127.0.0.1:0") { pair in
            pair.send(Array("last words".utf8))
            pair.shutdown()
            let seen = try await pair.bytes(count: 10)
            #expect(seen == Array("last words".utf8))
            try await pair.closed()
        }
    }

    @Test func closedIsReportedOnceAndNeverInsideTheCall() async throws {
        try await withStalledPeer { loop, connection, recorder in
            let inside = try await loop.run {
                connection.value.close()
                connection.value.close()
                connection.value.abort()
                return recorder.events.all
            }
            #expect(inside.isEmpty)
            try await recorder.events.until { !$0.isEmpty }
            let outcome = try await loop.run { connection.value.write([1]) }
            #expect(outcome == .closed)
            #expect(recorder.events.all == [.closed(.local)])
        }
    }

    @Test func aResetIsToldApartFromAnOrderlyEnd() async throws {
        try await withStalledPeer { _, _, recorder in
            recorder.peer.reset()
            try await recorder.events.until("the reset") { $0.contains(.closed(.reset)) }
        }
    }

    /// A server that refuses a large body answers and closes while the body still comes, which resets the connection: the write that finds
    /// out used to end it, and the answer was lost in the kernel.
    @Test(arguments: [false, true])
    func whatThePeerSaidBeforeItsResetIsStillRead(_ endsInOrder: Bool) async throws {
        try await withStalledPeer { loop, connection, recorder in
            try await loop.run { connection.value.pauseReading() }
            recorder.peer.write(Array("413".utf8))
            if endsInOrder { recorder.peer.finishSending() }
            recorder.peer.reset()
            // A turn for each write: on a busy machine the reset comes later, and what doesn't fit into the socket waits in memory.
            var outcomes: [WriteOutcome] = []
            while outcomes.last != .closed {
                outcomes.append(try await loop.run { connection.value.write([UInt8](repeating: 7, count: 100_000)) })
            }
            outcomes.append(
                try await loop.run {
                    let outcome = connection.value.write([7])
                    connection.value.resumeReading()
                    return outcome
                }
            )
            #expect(outcomes.suffix(2) == [.closed, .closed])
            let events = try await recorder.events.until("the close") { $0.contains(.closed(.reset)) }
            #expect(events == (endsInOrder ? [.received(3), .end, .closed(.reset)] : [.received(3), .closed(.reset)]))
        }
    }

    @Test func aPausedConnectionReadsNothingUntilResumed() async throws {
        try await withStalledPeer { loop, connection, recorder in
            try await loop.run { connection.value.pauseReading() }
            recorder.peer.write(Array("hello".utf8))
            // A round through the loop's poll after the bytes are in the socket: a reading connection would have seen them.
            for _ in 0..<20 { try await loop.run {} }
            #expect(recorder.events.all.isEmpty)
            try await loop.run { connection.value.resumeReading() }
            try await recorder.events.until { $0.contains(.received(5)) }
        }
    }

    /// Clients wait in the kernel's queue until a listener begins; its successor takes over the socket without losing one.
    @Test func listenersBeginLaterAndHandOver() async throws {
        try await LoopGroup.withLoops(count: 1) { group in
            let loop = group.loops[0]
            let socket = try ListenSocket.open(Endpoint(host: "127.0.0.1", port: 0))[0]
            let accepted = Events<String>()
            let first = try await loop.run {
                let listener = try Listener(socket, on: loop, isWaiting: true) { connection in
                    accepted.emit("first")
                    connection.close()
                }
                return LoopBound(listener, loop: loop)
            }
            let early = try RawSocket(port: socket.address.port ?? 0)
            for _ in 0..<20 { try await loop.run {} }
            #expect(accepted.all.isEmpty)
            try await loop.run { first.value.begin() }
            #expect(early.read().isEmpty && accepted.all == ["first"])
            let second = try await loop.run {
                let next = first.value.successor(options: ListenerOptions()) { connection in
                    accepted.emit("second")
                    connection.close()
                }
                first.value.close()
                return next.map { LoopBound($0, loop: loop) }
            }
            let listener = try #require(second)
            let late = try RawSocket(port: socket.address.port ?? 0)
            #expect(late.read().isEmpty && accepted.all == ["first", "second"])
            try await loop.run {
                listener.value.close()
                #expect(listener.value.successor(options: ListenerOptions(), accepted: { _ in }) == nil)
            }
        }
    }

    @Test func aRefusedConnectIsAnError() async throws {
        try await LoopGroup.withLoops(count: 1) { group in
            let error = try await connectError(try LoopbackHost.freeEndpoint(), group.loops[0])
            #expect(error?.code == .connectRefused)
            let missing = try await connectError(try Endpoint(parsing: "unix:/nonexistent/socket"), group.loops[0])
            #expect(missing?.code == .connectRefused)
        }
    }

    @Test func aSilentAddressTimesOut() async throws {
        // A listener with a full backlog that nobody accepts from drops further SYNs: connects hang without leaving the machine.
        let socket = try ListenSocket.open(Endpoint(host: "127.0.0.1", port: 0), backlog: 0)[0]
        try await LoopGroup.withLoops(count: 1) { group in
            let loop = group.loops[0]
            let results = Events<ReactorError.Code?>()
            loop.post {
                for _ in 0..<4 {
                    Connector.connect(to: Endpoint(socket.address), on: loop, timeout: .milliseconds(300)) { result in
                        switch result {
                        case .success(let connection):
                            loop.after(.seconds(2)) { connection.close() }
                            results.emit(nil)
                        case .failure(let error): results.emit(error.code)
                        }
                    }
                }
            }
            let all = try await results.until { $0.count == 4 }
            #expect(all.contains(.connectTimedOut))
        }
    }
}

private func connectError(_ endpoint: Endpoint, _ loop: Loop) async throws -> ReactorError? {
    let results = Events<ReactorError?>()
    loop.post {
        Connector.connect(to: endpoint, on: loop, timeout: .seconds(60)) { result in
            switch result {
            case .success(let connection):
                connection.close()
                results.emit(nil)
            case .failure(let error): results.emit(error)
            }
        }
    }
    return try await results.first()
}
