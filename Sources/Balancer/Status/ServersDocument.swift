// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor
import Wire

/// `GET /v1/servers` of the admin listener: every server with its state and load, in the order of the configuration.
enum ServersDocument {
    static func bytes(_ pools: [PoolView]) -> [UInt8] {
        var out: [UInt8] = []
        out.append(#"{"items":["#)
        var isFirst = true
        for pool in pools {
            for member in pool.snapshot.members {
                if !isFirst { out.append(",") }
                isFirst = false
                append(member, to: &out)
            }
        }
        out.append("]}\n")
        return out
    }

    private static func append(_ member: PoolSnapshot.Member, to out: inout [UInt8]) {
        let server = member.server
        let texts = [
            ("pool", server.pool), ("name", server.name), ("address", server.endpoint.description), ("state", member.standing.rawValue),
        ]
        out.append("{")
        for (name, text) in texts {
            JSONText.append(quoted: name, to: &out)
            out.append(":")
            JSONText.append(quoted: text, to: &out)
            out.append(",")
        }
        let numbers = [
            ("weight", member.weight), ("exchanges", server.exchanges), ("tunnels", server.tunnels),
            ("requests", server.traffic[.requests]),
        ]
        for (index, (name, number)) in numbers.enumerated() {
            if index > 0 { out.append(",") }
            JSONText.append(quoted: name, to: &out)
            out.append(":")
            out.append(decimal: number)
        }
        out.append("}")
    }
}
