// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Which content codings a client takes (RFC 9110 section 12.5.3).
package enum AcceptEncoding {
    /// Is gzip welcome, and at least as welcome as no coding at all? Who says nothing gets no coding.
    package static func prefersGzip(_ fields: HTTPFields, in bytes: Span<UInt8>) -> Bool {
        var (gzip, any, identity): (Int?, Int?, Int?)
        fields.forEachElement(of: .acceptEncoding, in: bytes) { element in
            bytes.withUnsafeBufferPointer { bytes in
                let end = element.first { bytes[$0] == ASCII.semicolon } ?? element.upperBound
                let name = ASCII.trimmed(bytes, element.lowerBound..<end)
                let weight = weight(bytes, end..<element.upperBound)
                if ASCII.equalsIgnoringCase(bytes, name, "gzip") || ASCII.equalsIgnoringCase(bytes, name, "x-gzip") {
                    gzip = max(gzip ?? 0, weight)
                } else if ASCII.equals(bytes, name, "*") {
                    any = weight
                } else if ASCII.equalsIgnoringCase(bytes, name, "identity") {
                    identity = weight
                }
            }
        }
        let wish = gzip ?? any ?? 0
        return wish > 0 && wish >= identity ?? 0
    }

    /// In thousandths, from the first semicolon on. A weight that can't be read is as good as a refusal.
    private static func weight(_ bytes: UnsafeBufferPointer<UInt8>, _ parameters: Range<Int>) -> Int {
        guard !parameters.isEmpty else { return 1000 }
        let text = ASCII.trimmed(bytes, parameters.lowerBound + 1..<parameters.upperBound)
        guard text.count > 2, ASCII.lowercased(bytes[text.lowerBound]) == UInt8(ascii: "q"), bytes[text.lowerBound + 1] == ASCII.equals
        else { return 0 }
        let digits = text.dropFirst(2)
        guard digits.count <= 5, digits.count == 1 || bytes[digits.lowerBound + 1] == UInt8(ascii: ".") else { return 0 }
        var value = 0
        var unit = 1000
        for index in digits where index != digits.lowerBound + 1 {
            guard ASCII.isDigit(bytes[index]) else { return 0 }
            value += Int(bytes[index] - 0x30) * unit
            unit /= 10
        }
        return min(value, 1000)
    }
}
