// Keyvane
// SPDX-License-Identifier: Apache-2.0

import HTTPTypes

/// W3C Trace Context, section 3.2: `version-traceid-parentid-flags` in lower-case hexadecimal digits. The trace id is what all servers share.
struct TraceParent {
    let traceID: String

    /// nil where there is none, or where it breaks the rules: then there is no trace.
    init?(_ headers: HTTPFields) {
        guard let text = headers[.traceParent] else { return nil }
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count >= 4, zip(parts, [2, 32, 16, 2]).allSatisfy({ Self.isHex($0, digits: $1) }) else { return nil }
        // `ff` is no version, and all zeros are no id; a version after ours may have more parts.
        guard parts[0] != "ff", parts[0] != "00" || parts.count == 4, parts[1...2].allSatisfy({ $0.contains { $0 != "0" } }) else {
            return nil
        }
        traceID = String(parts[1])
    }

    private static func isHex(_ text: Substring, digits: Int) -> Bool {
        text.utf8.count == digits && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }
}
