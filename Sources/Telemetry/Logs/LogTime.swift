// Keyvane
// SPDX-License-Identifier: Apache-2.0

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A moment, written as RFC 3339 in UTC with milliseconds.
package struct LogTime: Sendable, CustomStringConvertible {
    private let seconds: Int
    private let milliseconds: Int

    package init(secondsSince1970 seconds: Int, milliseconds: Int = 0) {
        self.seconds = seconds
        self.milliseconds = milliseconds
    }

    package static func now() -> LogTime {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return LogTime(secondsSince1970: time.tv_sec, milliseconds: time.tv_nsec / 1_000_000)
    }

    package var description: String {
        var time = seconds
        var parts = tm()
        gmtime_r(&time, &parts)
        var text = ""
        text.reserveCapacity(24)
        Self.append(Int(parts.tm_year) + 1_900, width: 4, to: &text)
        text += "-"
        Self.append(Int(parts.tm_mon) + 1, width: 2, to: &text)
        text += "-"
        Self.append(Int(parts.tm_mday), width: 2, to: &text)
        text += "T"
        Self.append(Int(parts.tm_hour), width: 2, to: &text)
        text += ":"
        Self.append(Int(parts.tm_min), width: 2, to: &text)
        text += ":"
        Self.append(Int(parts.tm_sec), width: 2, to: &text)
        text += "."
        Self.append(milliseconds, width: 3, to: &text)
        return text + "Z"
    }

    private static func append(_ number: Int, width: Int, to text: inout String) {
        let digits = String(number)
        for _ in digits.utf8.count..<max(width, digits.utf8.count) { text += "0" }
        text += digits
    }
}
