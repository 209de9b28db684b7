// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// What names and values may look like (`design/rest.md`, limits and names). Every refusal names the field and what is allowed, and never
/// quotes the input: it may be a secret in the wrong field.
package enum InputRules {
    package static let maximumValueBytes = 64 * 1024
    package static let maximumEntries = 10_000
    package static let maximumEnvironmentBytes = 8 * 1024 * 1024

    /// `[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?`
    @discardableResult
    package static func slug(_ text: String, field: String) throws(StoreError) -> String {
        let bytes = text.utf8
        let fits = (1...63).contains(bytes.count) && bytes.allSatisfy { isLowerOrDigit($0) || $0 == UInt8(ascii: "-") }
        guard fits, bytes.first != UInt8(ascii: "-"), bytes.last != UInt8(ascii: "-") else {
            let allowed = "1 to 63 lower-case letters, digits and hyphens, with a letter or digit at both ends"
            throw StoreError(.invalid, "\(field) must be \(allowed)", field: field)
        }
        return text
    }

    /// `[A-Za-z_][A-Za-z0-9_.-]{0,254}`
    @discardableResult
    package static func entryName(_ text: String, field: String = "name") throws(StoreError) -> String {
        guard isEntryName(text) else {
            let allowed = "1 to 255 letters, digits, underscores, dots and hyphens, with a letter or underscore first"
            throw StoreError(.invalid, "\(field) must be \(allowed)", field: field)
        }
        return text
    }

    package static func isEntryName(_ text: String) -> Bool {
        let bytes = text.utf8
        guard let first = bytes.first, bytes.count <= 255, isLetter(first) || first == UInt8(ascii: "_") else { return false }
        return bytes.allSatisfy { byte in
            isLetter(byte) || isDigit(byte) || byte == UInt8(ascii: "_") || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "-")
        }
    }

    /// Text of 64 KiB at most without NUL, which PostgreSQL and processes' environments cannot hold. A Swift string is UTF-8 already.
    @discardableResult
    package static func value(_ text: String, field: String = "value") throws(StoreError) -> String {
        try plainText(text, field: field, limit: maximumValueBytes)
    }

    /// A display name: one line.
    @discardableResult
    package static func title(_ text: String, field: String = "name") throws(StoreError) -> String {
        guard !text.isEmpty, !text.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) else {
            throw StoreError(.invalid, "\(field) must be 1 to 200 bytes of text without control characters", field: field)
        }
        return try plainText(text, field: field, limit: 200)
    }

    /// Notes and descriptions.
    @discardableResult
    package static func remark(_ text: String, field: String) throws(StoreError) -> String {
        try plainText(text, field: field, limit: 4096)
    }

    private static func plainText(_ text: String, field: String, limit: Int) throws(StoreError) -> String {
        guard text.utf8.count <= limit else {
            throw StoreError(.invalid, "\(field) has \(text.utf8.count) bytes; \(limit) are allowed", field: field)
        }
        guard !text.utf8.contains(0) else {
            throw StoreError(.invalid, "\(field) contains a NUL character, which is not allowed", field: field)
        }
        return text
    }

    private static func isLetter(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
    }

    private static func isDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }

    private static func isLowerOrDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || isDigit(byte)
    }
}
