// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Wire

/// JSON, written front to back. Owned by its caller.
struct JSONWriter {
    private var out: [UInt8] = []
    private var isFirst = true

    /// What was written, and a line's end.
    var line: [UInt8] { out + [0x0A] }

    private mutating func key(_ name: String?) {
        if !isFirst { out.append(0x2C) }
        isFirst = false
        guard let name else { return }
        JSONText.append(quoted: name, to: &out)
        out.append(0x3A)
    }

    mutating func object(_ name: String? = nil, _ body: (inout JSONWriter) -> Void) {
        nested(name, 0x7B, 0x7D, body)
    }

    mutating func array(_ name: String? = nil, _ body: (inout JSONWriter) -> Void) {
        nested(name, 0x5B, 0x5D, body)
    }

    private mutating func nested(_ name: String?, _ open: UInt8, _ close: UInt8, _ body: (inout JSONWriter) -> Void) {
        key(name)
        out.append(open)
        isFirst = true
        body(&self)
        out.append(close)
        isFirst = false
    }

    mutating func member(_ name: String, _ text: String) {
        key(name)
        JSONText.append(quoted: text, to: &out)
    }

    mutating func member(_ name: String, _ text: String?) {
        if let text {
            member(name, text)
        } else {
            key(name)
            out.append("null")
        }
    }

    mutating func member(_ name: String, _ number: Int) {
        key(name)
        out.append(decimal: number)
    }

    /// With two digits behind the point at most.
    mutating func member(_ name: String, _ number: Double) {
        key(name)
        let hundredths = number.isFinite ? Int((number * 100).rounded()) : 0
        out.append(hundredths % 100 == 0 ? "\(hundredths / 100)" : "\(Double(hundredths) / 100)")
    }

    mutating func member(_ name: String, _ bool: Bool) {
        key(name)
        out.append(bool ? "true" : "false")
    }
}
