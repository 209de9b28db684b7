// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor

/// The command line's form of a pool: `api=127.0.0.1:8081,web2@127.0.0.1:8082`.
package enum PoolFlag {
    /// Servers without a name are called `<pool>-<n>`, counted by their place. `api=` is a pool that waits for its servers.
    package static func parse(_ text: String) throws(BalancerError) -> PoolConfiguration {
        guard let equals = text.firstIndex(of: "=") else {
            throw BalancerError(.poolFlagInvalid, "'\(text)' names no servers: write NAME=HOST:PORT,HOST:PORT")
        }
        let name = String(text[..<equals])
        var servers: [ServerConfiguration] = []
        let list = text[text.index(after: equals)...]
        if !list.isEmpty {
            for (index, part) in list.split(separator: ",", omittingEmptySubsequences: false).enumerated() {
                servers.append(try server(String(part), pool: name, number: index + 1))
            }
        }
        let pool = PoolConfiguration(name: name, servers: servers)
        do throws(BalancerError) {
            try pool.validate()
        } catch {
            throw BalancerError(.poolFlagInvalid, "'\(text)': \(error.message)")
        }
        return pool
    }

    private static func server(_ text: String, pool: String, number: Int) throws(BalancerError) -> ServerConfiguration {
        var name = "\(pool)-\(number)"
        var address = text
        if let at = text.firstIndex(of: "@") {
            name = String(text[..<at])
            address = String(text[text.index(after: at)...])
        }
        do throws(ReactorError) {
            let endpoint = try Endpoint(parsing: address)
            if case .tcp(let host, let port) = endpoint.kind, host.isEmpty || port == 0 {
                throw ReactorError(.addressInvalid, "'\(address)' is no server's address: write HOST:PORT, [IPV6]:PORT or unix:/PATH")
            }
            return ServerConfiguration(name: name, address: endpoint)
        } catch {
            throw BalancerError(.poolFlagInvalid, error.message, underlying: error)
        }
    }
}
