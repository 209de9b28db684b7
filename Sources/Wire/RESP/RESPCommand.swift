// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Commands for Redis: arrays of bulk strings.
package enum RESPCommand {
    package static func encode(_ arguments: [[UInt8]]) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(arguments.reduce(16) { $0 + $1.count + 16 })
        append(arguments, to: &out)
        return out
    }

    package static func encode(_ arguments: [String]) -> [UInt8] {
        encode(arguments.map { [UInt8]($0.utf8) })
    }

    package static func encode(_ arguments: String...) -> [UInt8] {
        encode(arguments)
    }

    /// For pipelines: several commands into one buffer.
    package static func append(_ arguments: [[UInt8]], to out: inout [UInt8]) {
        out.append(0x2A)
        line(arguments.count, to: &out)
        for argument in arguments {
            out.append(0x24)
            line(argument.count, to: &out)
            out.append(contentsOf: argument)
            out.append(ASCII.carriageReturn)
            out.append(ASCII.lineFeed)
        }
    }

    private static func line(_ count: Int, to out: inout [UInt8]) {
        out.append(decimal: count)
        out.append(ASCII.carriageReturn)
        out.append(ASCII.lineFeed)
    }
}
