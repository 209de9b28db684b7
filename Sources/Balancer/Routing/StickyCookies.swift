// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Wire

/// Our cookies in other people's `Cookie` lines: none of them is the servers' business. Immutable.
struct StickyCookies: Sendable {
    /// Former names that are remembered, the newest of them.
    static let formerLimit = 32

    /// Of all pools.
    let current: [String]
    /// Names that pools had before, and clients may have still. A server may use one for a cookie of its own by now, so only what looks like
    /// a token of ours goes.
    let former: [String]

    /// The line without our cookies, every other byte as the client sent it; nothing where none is left.
    func appendLine(_ field: HTTPField, in bytes: Span<UInt8>, into out: inout [UInt8]) {
        let start = out.count
        HeadWriter.field(field, in: bytes, into: &out)
        let value = out.count - 2 - field.value.count
        for name in current {
            guard Self.remove(name, from: start, value: value, in: &out, where: { _ in true }) else { return }
        }
        for name in former {
            guard Self.remove(name, from: start, value: value, in: &out, where: StickySigner.isLikeToken) else { return }
        }
    }

    /// False where the line that begins at `start` is gone as a whole.
    private static func remove(
        _ name: String,
        from start: Int,
        value: Int,
        in out: inout [UInt8],
        where isOurs: (Span<UInt8>) -> Bool
    ) -> Bool {
        let end = out.count - 2
        guard contains(name, out, value..<end) else { return true }
        switch Cookies.removing(name, in: out.span, value..<end, where: isOurs) {
        case .absent:
            break
        case .wholeField:
            out.removeSubrange(start...)
            return false
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
        return true
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
