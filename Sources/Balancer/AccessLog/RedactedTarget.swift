// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Wire

/// A request's target as it may be logged.
enum RedactedTarget {
    /// With `-` for every `access_token`, however its name is spelled.
    static func text(_ head: RequestHead, in bytes: Span<UInt8>) -> String {
        guard let query = head.query else { return bytes.string(head.target) }
        var parts: [String] = []
        var start = query.lowerBound
        while start <= query.upperBound {
            var end = start
            while end < query.upperBound, bytes[end] != 0x26, bytes[end] != 0x3B { end += 1 }
            let equals = (start..<end).first { bytes[$0] == 0x3D } ?? end
            let name = QueryParameters.percentDecoded(start..<equals, in: bytes, plusIsBlank: true)
            let isToken = name.lowercased() == "access_token"
            parts.append(isToken ? bytes.string(start..<equals) + "=-" : bytes.string(start..<end))
            start = end + 1
        }
        return bytes.string(head.path) + "?" + parts.joined(separator: "&")
    }
}
