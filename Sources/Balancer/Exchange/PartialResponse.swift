// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Wire

/// A response head that came in pieces; see `PartialHead`.
final class PartialResponse {
    private(set) var bytes: [UInt8]
    private(set) var parser: ResponseHeadParser

    init(_ bytes: Span<UInt8>, parser: ResponseHeadParser) {
        self.bytes = bytes.array()
        self.parser = parser
    }

    func parse(_ more: Span<UInt8>) throws(HTTPFault) -> HeadResult {
        bytes.append(more)
        let held = bytes
        return try parser.parse(held.span)
    }
}
