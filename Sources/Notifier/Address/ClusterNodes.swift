// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Reactor
package import Wire

/// What the nodes of a cluster say about each other.
package enum ClusterNodes {
    /// The owner of a slot in `MOVED 3999 10.0.0.7:6381`; nil for any other error.
    package static func owner(in error: String, said server: Endpoint) -> Endpoint? {
        let words = error.split(separator: " ")
        guard words.count == 3, words[0] == "MOVED", let colon = words[2].lastIndex(of: ":") else { return nil }
        guard let port = UInt16(words[2][words[2].index(after: colon)...]) else { return nil }
        return endpoint(String(words[2][..<colon]), port, said: server)
    }

    /// All nodes of an answer to CLUSTER SLOTS: ranges of first slot, last slot and nodes, each with address and port in front.
    package static func all(in reply: RESPValue, said server: Endpoint) -> [Endpoint] {
        var nodes: [Endpoint] = []
        for range in reply.array ?? [] {
            for node in range.array?.dropFirst(2) ?? [] {
                guard let fields = node.array, fields.count >= 2, let port = fields[1].integer.flatMap(UInt16.init(exactly:)),
                    let node = endpoint(fields[0].string ?? "", port, said: server), !nodes.contains(node)
                else { continue }
                nodes.append(node)
            }
        }
        return nodes
    }

    /// A node that doesn't know its own address leaves it out, or says `?`.
    private static func endpoint(_ host: String, _ port: UInt16, said server: Endpoint) -> Endpoint? {
        guard port != 0 else { return nil }
        guard host.isEmpty || host == "?" else { return Endpoint(host: host, port: port) }
        guard case .tcp(let known, _) = server.kind else { return nil }
        return Endpoint(host: known, port: port)
    }
}
