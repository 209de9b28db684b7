// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Reactor
import TestSupport
import Testing

/// Sockets that somebody else has bound.
@Suite struct PassedSocketTests {
    /// A listening socket's number, which is the caller's.
    private static func socket(_ family: Int32, type: __socket_type = SOCK_STREAM, listens: Bool = true, onlyV6: Int32 = 0) throws -> Int32
    {
        let number = Glibc.socket(family, Int32(type.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var only = onlyV6
        setsockopt(number, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &only, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_storage()
        address.ss_family = sa_family_t(family)
        let length = family == AF_INET ? MemoryLayout<sockaddr_in>.size : MemoryLayout<sockaddr_in6>.size
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(number, $0, socklen_t(length)) }
        }
        try #require(status == 0 && (!listens || listen(number, 16) == 0))
        return number
    }

    @Test func aListenerFindsItsSocketByItsAddress() throws {
        let four = try PassedSocket(taking: try Self.socket(AF_INET), name: "four")
        let six = try PassedSocket(taking: try Self.socket(AF_INET6), name: "six")
        let only = try PassedSocket(taking: try Self.socket(AF_INET6, onlyV6: 1), name: "only")
        let sockets = PassedSockets([four, six, only])
        let (port, wide, narrow) = (try #require(four.address.port), try #require(six.address.port), try #require(only.address.port))
        func find(_ text: String, with others: [String] = []) throws -> String? {
            let endpoint = try Endpoint(parsing: text)
            return sockets.socket(for: endpoint, of: [endpoint] + (try others.map { try Endpoint(parsing: $0) }))?.name
        }
        #expect(try find(":\(port)") == "four" && find("0.0.0.0:\(port)") == "four")
        #expect(try find("127.0.0.1:\(port)") == nil && find("[::]:\(port)") == nil && find(":0") == nil && find("unix:/x") == nil)
        // One socket for both kinds of address serves a listener of either, but not two.
        #expect(try find("[::]:\(wide)") == "six" && find(":\(wide)") == "six" && find(":\(wide)", with: ["[::]:\(wide)"]) == nil)
        #expect(try find("[::]:\(narrow)") == "only" && find(":\(narrow)") == nil)
        let used = try [":\(port)", ":\(wide)"].map { try Endpoint(parsing: $0) }
        #expect(sockets.unused(by: used).map(\.name) == ["only"])
        #expect(sockets.unused(by: []).count == 3 && PassedSockets().unused(by: used).isEmpty)
    }

    @Test func onlyAListeningStreamSocketCounts() throws {
        for number in [try Self.socket(AF_INET, listens: false), try Self.socket(AF_INET, type: SOCK_DGRAM, listens: false)] {
            let error = #expect(throws: ReactorError.self) { try PassedSocket(taking: number, name: "odd") }
            #expect(error?.code == .addressInvalid && error?.message.contains("'odd'") == true)
        }
        let file = open("/dev/null", O_RDONLY)
        defer { close(file) }
        for number in [file, 9_999] {
            let error = #expect(throws: ReactorError.self) { try PassedSocket(taking: number, name: "odd") }
            #expect(error?.message.contains("is no socket") == true)
        }
    }

    @Test func everyLoopAcceptsAndWhoComesTooLateWaitsForTheNextUser() async throws {
        let number = try Self.socket(AF_INET)
        let kept = dup(number)
        defer { close(kept) }
        let passed = try PassedSocket(taking: number, name: "web")
        let port = try #require(passed.address.port)
        let accepted = Events<Int>()
        try await LoopGroup.withLoops(count: 2) { group in
            @Sendable func listen() async throws -> [LoopBound<Listener>] {
                var listeners: [LoopBound<Listener>] = []
                for (index, socket) in try ListenSocket.open(passed, count: 2).enumerated() {
                    let loop = group.loops[index]
                    let listener = try await loop.run {
                        LoopBound(
                            try Listener(socket, on: loop) { connection in
                                accepted.emit(index)
                                connection.close()
                            },
                            loop: loop
                        )
                    }
                    listeners.append(listener)
                }
                return listeners
            }
            let first = try await listen()
            var clients = try (0..<20).map { _ in try RawSocket(port: port) }
            try await accepted.until { $0.count == 20 }
            for listener in first { try await listener.loop.run { listener.value.closeAfterAccepting() } }
            clients += try (0..<5).map { _ in try RawSocket(port: port) }
            #expect(accepted.all.count == 20)
            let second = try await listen()
            try await accepted.until { $0.count == 25 }
            for listener in second { try await listener.loop.run { listener.value.close() } }
            withExtendedLifetime(clients) {}
        }
    }
}
