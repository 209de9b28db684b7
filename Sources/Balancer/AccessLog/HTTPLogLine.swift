// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Wire

/// A line as HAProxy 2.6 writes it with `option httplog`, for the tools that read those:
/// `client:port [date] frontend backend/server TR/Tw/Tc/Tr/Ta status bytes - - state actconn/feconn/beconn/srvconn/retries srvq/backq "request"`.
enum HTTPLogLine {
    /// Open connections: of the balancer, its listener, the pool, the server.
    struct Loads {
        var all = 0
        var frontend = 0
        var pool = 0
        var server = 0
    }

    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    static func bytes(_ request: LoggedRequest, _ loads: Loads) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(256)
        out.append(request.origin.client)
        out.append(":")
        out.append(decimal: request.origin.port ?? 0)
        out.append(" [")
        appendDate(request.arrival, to: &out)
        out.append("] ")
        let frontend = request.origin.listener.name + (request.origin.listener.isSecure ? "~" : "")
        out.append(frontend)
        out.append(" ")
        out.append(request.pool ?? frontend)
        out.append("/")
        out.append(request.server ?? "<NOSRV>")
        out.append(" ")
        appendTimers(request, to: &out)
        out.append(" ")
        // HAProxy has no status where nothing was answered.
        out.append(decimal: request.status == 499 ? -1 : request.status)
        out.append(" ")
        out.append(decimal: request.sent)
        out.append(" - - ")
        out.append(TerminationState.text(request))
        out.append(" \(loads.all)/\(loads.frontend)/\(loads.pool)/\(loads.server)/")
        // A plus sign tells that the last attempt went to another server.
        out.append(request.isRedispatched ? "+\(request.retries)" : "\(request.retries)")
        out.append(" \(request.queuedAhead.server)/\(request.queuedAhead.pool) \"")
        if request.isRefusedHead {
            out.append("<BADREQ>")
        } else {
            appendEncoded(request.method, to: &out)
            out.append(" ")
            appendEncoded(request.target, to: &out)
            out.append(" ")
            out.append(request.version)
        }
        out.append("\"\n")
        return out
    }

    /// In milliseconds; -1 for what was never reached.
    private static func appendTimers(_ request: LoggedRequest, to out: inout [UInt8]) {
        let head = request.isRefusedHead ? nil : request.headTime
        let queue = request.chosenAt.map { $0 - request.began }
        let connect = request.chosenAt.flatMap { chosen in request.connectedAt.map { $0 - chosen } }
        let answer = request.connectedAt.flatMap { connected in request.answeredAt.map { $0 - connected } }
        for timer in [head, queue, connect, answer] {
            if let timer { out.append(decimal: timer / 1_000_000) } else { out.append("-1") }
            out.append("/")
        }
        out.append(decimal: (request.headTime + request.endedAt - request.began) / 1_000_000)
    }

    /// Local time, as HAProxy has it: `06/Feb/2009:12:14:14.655`.
    private static func appendDate(_ time: timespec, to out: inout [UInt8]) {
        var seconds = time.tv_sec
        var local = tm()
        localtime_r(&seconds, &local)
        func two(_ value: Int32) { out.append(value < 10 ? "0\(value)" : "\(value)") }
        two(local.tm_mday)
        out.append("/\(months[Int(local.tm_mon) % 12])/\(1900 + local.tm_year):")
        two(local.tm_hour)
        out.append(":")
        two(local.tm_min)
        out.append(":")
        two(local.tm_sec)
        let milliseconds = time.tv_nsec / 1_000_000
        out.append(milliseconds < 10 ? ".00\(milliseconds)" : milliseconds < 100 ? ".0\(milliseconds)" : ".\(milliseconds)")
    }

    /// What could end the quotes or the line is written as `#` and two hexadecimal digits.
    private static func appendEncoded(_ text: String, to out: inout [UInt8]) {
        for byte in text.utf8 {
            if byte < 0x20 || byte >= 0x7F || byte == 0x22 || byte == 0x23 {
                out.append("#" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true))
            } else {
                out.append(byte)
            }
        }
    }
}
