// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// `Cache-Control` (RFC 9111 section 5.2), one line's value at a time. Commas within quotes part nothing.
package enum CacheControl {
    /// Does it say `private` or `no-store` for the whole response? `private="field"` speaks of that field only.
    package static func keepsSharedCachesAway(_ bytes: Span<UInt8>, _ value: Range<Int>) -> Bool {
        has(bytes, value) { ASCII.equalsIgnoringCase($0, $1, "private") || ASCII.equalsIgnoringCase($0, $1, "no-store") }
    }

    package static func forbidsTransforming(_ bytes: Span<UInt8>, _ value: Range<Int>) -> Bool {
        has(bytes, value) { ASCII.equalsIgnoringCase($0, $1, "no-transform") }
    }

    /// Appends, each after `, `, the directives that still mean something once the response is private.
    package static func appendPrivateRest(_ bytes: Span<UInt8>, _ value: Range<Int>, to out: inout [UInt8]) {
        bytes.withUnsafeBufferPointer { bytes in
            forEachDirective(bytes, value) { directive in
                let name = directive.prefix { bytes[$0] != ASCII.equals }
                let isForSharedCaches =
                    ASCII.equalsIgnoringCase(bytes, name, "public") || ASCII.equalsIgnoringCase(bytes, name, "s-maxage")
                    || ASCII.equalsIgnoringCase(bytes, name, "private") || ASCII.equalsIgnoringCase(bytes, name, "proxy-revalidate")
                if !isForSharedCaches {
                    out.append(", ")
                    out.append(contentsOf: bytes[directive])
                }
                return true
            }
        }
    }

    private static func has(
        _ bytes: Span<UInt8>,
        _ value: Range<Int>,
        _ matches: (UnsafeBufferPointer<UInt8>, Range<Int>) -> Bool
    ) -> Bool {
        bytes.withUnsafeBufferPointer { bytes in
            var found = false
            forEachDirective(bytes, value) { directive in
                found = matches(bytes, directive)
                return !found
            }
            return found
        }
    }

    private static func forEachDirective(_ bytes: UnsafeBufferPointer<UInt8>, _ value: Range<Int>, _ body: (Range<Int>) -> Bool) {
        var start = value.lowerBound
        while start < value.upperBound {
            var end = start
            var isQuoted = false
            while end < value.upperBound, isQuoted || bytes[end] != ASCII.comma {
                if bytes[end] == ASCII.quote { isQuoted.toggle() }
                if isQuoted, bytes[end] == ASCII.backslash, end + 1 < value.upperBound { end += 1 }
                end += 1
            }
            let directive = ASCII.trimmed(bytes, start..<end)
            if !directive.isEmpty, !body(directive) { return }
            start = end + 1
        }
    }
}
