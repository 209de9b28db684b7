// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// A weight as HAProxy reads it: 0 to 256, or a share of the configured one (`50%`), with HAProxy's words where it is neither.
package enum WeightText {
    package struct Fault: Error, Equatable {
        package let text: String
    }

    package static func read(_ text: String, configured: Int) -> Result<Int, Fault> {
        let digits = text.drop { $0 == "-" || $0 == "+" }.prefix { $0.isASCII && $0.isNumber }
        let sign = text.prefix { $0 == "-" || $0 == "+" }
        guard !digits.isEmpty, sign.count <= 1, let magnitude = Int(digits.prefix(9)) else {
            // Without a line's end, as HAProxy has it.
            return .failure(Fault(text: "Empty weight string empty or preceded by garbage"))
        }
        let number = sign == "-" ? -magnitude : magnitude
        let rest = text.dropFirst(sign.count + digits.count)
        if rest == "%" {
            guard number >= 0 else { return .failure(Fault(text: "Relative weight must be positive.\n")) }
            return .success(min(256, configured * number / 100))
        }
        guard (0...256).contains(number) else { return .failure(Fault(text: "Absolute weight can only be between 0 and 256 inclusive.\n")) }
        guard rest.isEmpty else { return .failure(Fault(text: "Trailing garbage in weight string")) }
        return .success(number)
    }
}
