// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor
import Wire

/// Times and sizes a client or a server may take.
package struct BalancerLimits: Sendable, Equatable {
    /// From a request head's first byte to its last, however slowly it drips.
    package var headerTimeout = Duration.seconds(10)
    /// A client that says nothing: between requests, within a body, or while it doesn't take its response.
    package var clientIdle = Duration.seconds(65)
    package var connect = Duration.seconds(5)
    /// To a response's head, and between two reads of its body.
    package var response = Duration.seconds(60)
    package var tunnelIdle = Duration.seconds(3600)
    /// An unused connection to a server.
    package var serverIdle = Duration.seconds(60)
    /// Unused connections of one loop to one server; more are closed after `surplusIdle`.
    package var idlePerServer = 32
    package var surplusIdle = Duration.seconds(1)
    package var headerBytes = 32 * 1024
    package var headers = 100
    package var http2 = HTTP2Limits()
    package var upgradesPerSecond = 2000
    /// Open connections of one client address (IPv6: its /64), over all listeners; 0 is no limit.
    package var connectionsPerAddress = 0
    /// A request's body may not come slower than this, in bytes a second, once `bodyGrace` has passed.
    package var bodyRate = 500
    package var bodyGrace = Duration.seconds(20)
    /// Requests of one pool that wait for a server with a free place, and how long each does.
    package var queued = 1024
    package var queueTimeout = Duration.seconds(5)
    /// How long the last words of a refused client are read, so that it gets to see the refusal.
    package var linger = Duration.seconds(1)
    package var lingerBytes = 64 * 1024
    /// Of the whole drain; tunnels are closed evenly over `drainTunnels`, but not slower than `drainPace` a second.
    package var drain = Duration.seconds(30)
    package var drainTunnels = Duration.seconds(25)
    package var drainPace = 500

    package init() {}

    var head: HeadLimits { HeadLimits(bytes: headerBytes, fields: headers) }
}

/// The limits that are deadlines, in milliseconds: they are added to the clock at every event.
struct DeadlineTimes: Sendable {
    let header: UInt64
    let clientIdle: UInt64
    let response: UInt64
    let bodyGrace: UInt64
    let tunnelIdle: UInt64
    let serverIdle: UInt64
    let surplusIdle: UInt64
    let linger: UInt64
    let queue: UInt64

    init(_ limits: BalancerLimits) {
        header = limits.headerTimeout.wholeMilliseconds
        clientIdle = limits.clientIdle.wholeMilliseconds
        response = limits.response.wholeMilliseconds
        bodyGrace = limits.bodyGrace.wholeMilliseconds
        tunnelIdle = limits.tunnelIdle.wholeMilliseconds
        serverIdle = limits.serverIdle.wholeMilliseconds
        surplusIdle = min(limits.surplusIdle, limits.serverIdle).wholeMilliseconds
        linger = limits.linger.wholeMilliseconds
        queue = limits.queueTimeout.wholeMilliseconds
    }
}
