// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Wire

/// `/v1/servers` of the admin listener: every server with its state and load, in the order of the configuration.
enum ServersDocument {
    static func bytes(_ pools: [PoolStatus]) -> [UInt8] {
        var out = JSONWriter()
        out.object {
            $0.array("items") { items in
                for pool in pools {
                    for server in pool.servers { items.object { append(server, pool: pool.name, to: &$0) } }
                }
            }
        }
        return out.line
    }

    static func bytes(_ server: ServerStatus, pool: String) -> [UInt8] {
        var out = JSONWriter()
        out.object { append(server, pool: pool, to: &$0) }
        return out.line
    }

    private static func append(_ server: ServerStatus, pool: String, to out: inout JSONWriter) {
        out.member("pool", pool)
        out.member("name", server.name)
        out.member("address", server.address)
        out.member("state", server.standing.rawValue)
        out.member("weight", server.weight)
        out.member("exchanges", server.exchanges)
        out.member("tunnels", server.tunnels)
        out.member("requests", server.requests)
        out.member("administrativeState", server.administrative.rawValue)
        out.member("reason", server.reason)
        out.member("secondsInState", server.secondsInState)
        out.member("effectiveWeight", server.effectiveWeight)
        out.member("maxconn", server.maxConnections)
        out.member("route", server.route)
        out.member("backup", server.isBackup)
        out.member("origin", server.origin.rawValue)
        out.member("queued", server.queued)
        out.member("connectFailures", server.traffic[.connectFailures])
        out.member("downs", server.downs)
        out.member("secondsDown", server.secondsDown)
        if let check = server.check {
            out.object("check") {
                $0.member("passed", check.passed)
                $0.member("outcome", check.outcome)
                $0.member("milliseconds", check.milliseconds)
                $0.member("secondsAgo", check.secondsAgo)
            }
        }
        if let drain = server.drain {
            out.object("drain") {
                $0.member("exchangesLeft", drain.exchangesLeft)
                $0.member("tunnelsLeft", drain.tunnelsLeft)
                $0.member("secondsToDeadline", drain.secondsToDeadline)
            }
        }
    }
}
