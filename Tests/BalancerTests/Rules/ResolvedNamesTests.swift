// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Reactor
import Testing

/// Names that stand for several machines: by values.
@Suite struct ResolvedNamesTests {
    private func addresses(_ texts: [String]) -> [SocketAddress] { texts.compactMap { SocketAddress(numeric: $0, port: 0) } }

    @Test func aNameOfSeveralMachinesIsAsManyServers() {
        var names = ResolvedNames()
        let server = ServerConfiguration(name: "gw", address: Endpoint(host: "gateway", port: 8090), weight: 7)
        let other = ServerConfiguration(name: "x", address: Endpoint(host: "10.9.9.9", port: 1))
        #expect(names.spread([server, other]) == [server, other])
        let isNews = names.resolved("gateway", to: addresses(["10.0.0.2"]))
        #expect(isNews)
        #expect(names.spread([server, other]) == [server, other])
        let isOther = names.resolved("gateway", to: addresses(["fd00::1", "10.0.0.2", "10.0.0.1"]))
        #expect(isOther)
        // The order of an answer means nothing.
        let again = names.resolved("gateway", to: addresses(["10.0.0.1", "fd00::1", "10.0.0.2"]))
        #expect(!again)
        let spread = names.spread([server, other])
        #expect(spread.map(\.name) == ["gw-10.0.0.1", "gw-10.0.0.2", "gw-fd00__1", "x"])
        #expect(spread.map(\.address.description) == ["10.0.0.1:8090", "10.0.0.2:8090", "[fd00::1]:8090", "10.9.9.9:1"])
        #expect(spread[1].weight == 7)
        names.forget(allBut: [])
        #expect(names.spread([server]) == [server])
    }

    @Test func bothAddressesOfLoopbackAreOneMachine() {
        var names = ResolvedNames()
        let server = ServerConfiguration(name: "a", address: Endpoint(host: "localhost", port: 80))
        let isNews = names.resolved("localhost", to: addresses(["127.0.0.1", "::1"]))
        #expect(isNews)
        #expect(names.spread([server]) == [server])
    }
}
