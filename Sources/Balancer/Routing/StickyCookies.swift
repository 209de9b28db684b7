// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Wire

/// Our cookies in other people's `Cookie` lines.
enum StickyCookies {
    /// The line without the cookies of these names, every other byte as the client sent it; nothing where none is left.
    static func appendLine(_ field: HTTPField, in bytes: Span<UInt8>, without names: [String], into out: inout [UInt8]) {
        let start = out.count
        HeadWriter.field(field, in: bytes, into: &out)
        let value = out.count - 2 - field.value.count
        for name in names {
            let end = out.count - 2
            guard contains(name, out, value..<end) else { continue }
            switch Cookies.removing(name, in: out.span, value..<end) {
            case .absent:
                break
            case .wholeField:
                out.removeSubrange(start...)
                return
            case .keep(let pieces):
                // Pieces rise, so each moves to the front without touching a later one.
                var position = value
                for piece in pieces {
                    for index in piece {
                        out[position] = out[index]
                        position += 1
                    }
                }
                out.removeSubrange(position..<end)
            }
        }
    }

    /// A cheap look for the name's bytes: most lines have no cookie of ours, or just the pool's own.
    private static func contains(_ name: String, _ line: [UInt8], _ range: Range<Int>) -> Bool {
        var name = name
        return name.withUTF8 { name in
            guard let first = name.first, range.count >= name.count else { return false }
            return line.withUnsafeBufferPointer { line in
                var position = range.lowerBound
                let last = range.upperBound - name.count
                while position <= last {
                    if line[position] == first, (1..<name.count).allSatisfy({ line[position + $0] == name[$0] }) { return true }
                    position += 1
                }
                return false
            }
        }
    }

    /// The line that sets one of our cookies: for the session, out of scripts' reach, not sent along with other sites' requests.
    static func appendSet(_ name: String, _ value: String, isSecure: Bool, into out: inout [UInt8]) {
        out.append("Set-Cookie: ")
        out.append(name)
        out.append("=")
        out.append(value)
        out.append(isSecure ? "; Path=/; HttpOnly; SameSite=Lax; Secure\r\n" : "; Path=/; HttpOnly; SameSite=Lax\r\n")
    }
}
