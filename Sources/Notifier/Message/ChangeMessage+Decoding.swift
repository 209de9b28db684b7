// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Wire

/// What a text on the channel turned out to be.
package enum DecodedChange: Hashable, Sendable {
    /// Whole, consistent, and its code is ours.
    case message(ChangeMessage)
    /// Anything else, with the environment it claims to be about where that can be read: a reason to look, never a value.
    case untrusted(environmentID: String?)
}

extension ChangeMessage {
    /// Reads the text of a message; every input has a result.
    package static func decode(_ text: Span<UInt8>, _ authenticator: MessageAuthenticator) -> DecodedChange {
        text.withUnsafeBufferPointer { text in
            var fields = ChangeFields()
            let isWhole = fields.read(text)
            if isWhole, let message = fields.message, message.isConsistent, let mac = fields.mac,
                authenticator.isValid(mac, for: message.canonicalForm)
            {
                return .message(message)
            }
            return .untrusted(environmentID: fields.environmentID.flatMap { isIdentifier($0) ? $0 : nil })
        }
    }
}

/// The members found in one text; a value that lives as long as its decoding.
private struct ChangeFields {
    private enum Key: Int, CaseIterable {
        case environmentID, name, value, isSecret, operation, revision, version, first, last, mark, at, by, mac

        var text: StaticString {
            switch self {
            case .environmentID: "environmentId"
            case .name: "name"
            case .value: "value"
            case .isSecret: "isSecret"
            case .operation: "op"
            case .revision: "revision"
            case .version: "version"
            case .first: "first"
            case .last: "last"
            case .mark: "mark"
            case .at: "at"
            case .by: "by"
            case .mac: "mac"
            }
        }
    }

    private(set) var environmentID: String?
    private(set) var mac: String?
    private var name: String?
    private var value: String?
    private var isSecret: Bool?
    private var operation: ChangeMessage.Operation?
    private var revision: Int64?
    private var version: Int64?
    private var first: Int64?
    private var last: Int64?
    private var mark: UInt32?
    private var at: String?
    private var by: String?
    private var seen = 0

    /// True when every member was there once and nothing else was.
    mutating func read(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
        var scanner = JSONScanner(text)
        guard scanner.takeStructure(UInt8(ascii: "{")) else { return false }
        // Our own messages have their members in this order, so the next key is nearly always the expected one.
        var expected = 0
        repeat {
            guard let range = scanner.key(), let key = Self.key(text, range, expected: expected) else { return false }
            let bit = 1 << key.rawValue
            guard seen & bit == 0, read(key, &scanner) else { return false }
            seen |= bit
            expected = key.rawValue + 1
        } while scanner.takeStructure(UInt8(ascii: ","))
        return scanner.takeStructure(UInt8(ascii: "}")) && scanner.isAtEnd() && seen == 1 << Key.allCases.count - 1
    }

    private static func key(_ text: UnsafeBufferPointer<UInt8>, _ range: Range<Int>, expected: Int) -> Key? {
        let found = text[range]
        if let key = Key(rawValue: expected), found.elementsEqual(key.text.bytes) { return key }
        return Key.allCases.first { found.elementsEqual($0.text.bytes) }
    }

    private mutating func read(_ key: Key, _ scanner: inout JSONScanner) -> Bool {
        switch key {
        case .environmentID:
            environmentID = scanner.string()
            return environmentID != nil
        case .name:
            name = scanner.string()
            return name != nil
        case .value:
            if scanner.takeNull() { return true }
            value = scanner.string()
            return value != nil
        case .isSecret:
            isSecret = scanner.boolean()
            return isSecret != nil
        case .operation:
            operation = scanner.string().flatMap(ChangeMessage.Operation.init(rawValue:))
            return operation != nil
        case .revision:
            revision = scanner.integer()
            return revision != nil
        case .version:
            version = scanner.integer()
            return version != nil
        case .first:
            first = scanner.integer()
            return first != nil
        case .last:
            last = scanner.integer()
            return last != nil
        case .mark:
            mark = scanner.string().flatMap(Self.mark)
            return mark != nil
        case .at:
            at = scanner.string()
            return at != nil
        case .by:
            by = scanner.string()
            return by != nil
        case .mac:
            mac = scanner.string()
            return mac != nil
        }
    }

    private static func mark(_ text: String) -> UInt32? {
        guard text.utf8.count == 8 else { return nil }
        var mark: UInt32 = 0
        for byte in text.utf8 {
            guard let digit = byte.hexValue else { return nil }
            mark = mark << 4 | UInt32(digit)
        }
        return mark
    }

    var message: ChangeMessage? {
        guard let environmentID, let name, let isSecret, let operation, let revision, let version, let first, let last, let mark, let at,
            let by
        else { return nil }
        return ChangeMessage(
            environmentID: environmentID,
            name: name,
            value: value,
            isSecret: isSecret,
            operation: operation,
            revision: revision,
            version: version,
            first: first,
            last: last,
            mark: mark,
            at: at,
            by: by
        )
    }
}

extension StaticString {
    var bytes: UnsafeBufferPointer<UInt8> { UnsafeBufferPointer(start: utf8Start, count: utf8CodeUnitCount) }
}
