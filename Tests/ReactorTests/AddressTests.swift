// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor
import TestSupport
import Testing

@Suite struct AddressTests {
    @Test(arguments: [
        ("127.0.0.1:8080", "127.0.0.1:8080"),
        (":8080", "0.0.0.0:8080"),
        ("[::1]:443", "[::1]:443"),
        ("[2001:db8::5]:1", "[2001:db8::5]:1"),
        ("unix:/run/x.sock", "unix:/run/x.sock"),
    ])
    func endpointsReadAsWritten(_ text: String, _ numeric: String) throws {
        #expect(try Endpoint(parsing: text).numeric?.description == numeric)
    }

    @Test(arguments: ["", "8080", "host", "host:", "host:99999", "::1:80", "a b:80", "http://x:80", "host:-1"])
    func nonsenseIsRefusedWithTheRemedy(_ text: String) {
        let error = #expect(throws: ReactorError.self) { try Endpoint(parsing: text) }
        #expect(error?.code == .addressInvalid)
        #expect(error?.message.contains("HOST:PORT") == true)
    }

    @Test func aNameIsNoNumericAddress() throws {
        #expect(try Endpoint(parsing: "localhost:80").numeric == nil)
        #expect(try Endpoint(parsing: "localhost:80").description == "localhost:80")
    }

    @Test func namesResolveAndUnknownOnesSaySo() async throws {
        try await LoopGroup.withLoops(count: 1) { group in
            let loop = group.loops[0]
            let answers = Events<Result<[SocketAddress], ReactorError>>()
            loop.post {
                Resolver.resolve(host: "localhost", port: 80, on: loop) { answers.emit($0) }
            }
            let found = try await answers.first().get()
            #expect(found.contains { $0.host == "127.0.0.1" || $0.host == "::1" })
            loop.post {
                Resolver.resolve(host: "no-such-host.invalid", port: 80, on: loop) { answers.emit($0) }
            }
            let all = try await answers.until("the second answer") { $0.count == 2 }
            guard case .failure(let error) = all[1] else {
                Issue.record("an unknown name was resolved")
                return
            }
            #expect(error.code == .nameNotFound)
            #expect(error.message.contains("no-such-host.invalid"))
        }
    }

    @Test func anOverLongUnixPathIsRefused() {
        let path = "unix:/tmp/" + String(repeating: "x", count: 120)
        #expect(throws: ReactorError.self) { _ = try ListenSocket.open(try Endpoint(parsing: path)) }
    }

    @Test func socketsThatShareAPortAllGetIt() throws {
        let sockets = try ListenSocket.open(Endpoint(host: "127.0.0.1", port: 0), count: 3)
        #expect(sockets.count == 3)
        #expect(Set(sockets.map(\.address)).count == 1)
        #expect(sockets[0].address.port != 0)
    }

    @Test func aTakenPortIsRefused() throws {
        let first = try ListenSocket.open(Endpoint(host: "127.0.0.1", port: 0))[0]
        let error = #expect(throws: ReactorError.self) { _ = try ListenSocket.open(Endpoint(first.address)) }
        #expect(error?.code == .addressInUse)
    }
}
