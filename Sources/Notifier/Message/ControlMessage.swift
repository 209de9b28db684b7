// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Wire

/// What all gateways must do at once; rare, so that it is a hint only: heads and tokens are swept without it too.
package enum ControlMessage: Hashable, Sendable {
    case tokenRevoked(tokenID: String)
    case environmentDeleted(environmentID: String)

    private static let type = "type"
    private static let mac = "mac"
    private static let longest = 4 * 1024

    private var kind: String {
        switch self {
        case .tokenRevoked: "token-revoked"
        case .environmentDeleted: "environment-deleted"
        }
    }

    private var subject: (key: String, value: String) {
        switch self {
        case .tokenRevoked(let tokenID): ("tokenId", tokenID)
        case .environmentDeleted(let environmentID): ("environmentId", environmentID)
        }
    }

    private var canonicalForm: CanonicalForm {
        var form = CanonicalForm(kind: "keyvane control 1", capacity: 128)
        form.append(kind)
        form.append(subject.value)
        return form
    }

    /// The JSON text, with its code.
    package func encoded(_ authenticator: MessageAuthenticator) -> [UInt8] {
        var out: [UInt8] = []
        out.append(#"{"type":"#)
        JSONText.append(quoted: kind, to: &out)
        out.append(",")
        JSONText.append(quoted: subject.key, to: &out)
        out.append(":")
        JSONText.append(quoted: subject.value, to: &out)
        out.append(#","mac":""#)
        out.append(authenticator.code(for: canonicalForm))
        out.append(#""}"#)
        return out
    }

    /// nil when it can't be read. `isTrusted` is false where the code is missing or not ours.
    package static func decode(_ text: Span<UInt8>, _ authenticator: MessageAuthenticator) -> (message: ControlMessage, isTrusted: Bool)? {
        guard text.count <= longest, let members = text.withUnsafeBufferPointer({ members(of: $0) }) else { return nil }
        let message: ControlMessage? =
            switch members[type] {
            case "token-revoked": members["tokenId"].map { .tokenRevoked(tokenID: $0) }
            case "environment-deleted": members["environmentId"].map { .environmentDeleted(environmentID: $0) }
            default: nil
            }
        guard let message else { return nil }
        // A member that no code covers must not ride along with a valid one.
        guard let mac = members[mac], members.count == 3 else { return (message, false) }
        return (message, authenticator.isValid(mac, for: message.canonicalForm))
    }

    /// A flat object of strings, which every control message is.
    private static func members(of text: UnsafeBufferPointer<UInt8>) -> [String: String]? {
        var scanner = JSONScanner(text)
        var members: [String: String] = [:]
        guard scanner.takeStructure(UInt8(ascii: "{")) else { return nil }
        repeat {
            guard let key = scanner.key(), let value = scanner.string() else { return nil }
            guard members.updateValue(value, forKey: String(decoding: text[key], as: UTF8.self)) == nil else { return nil }
        } while scanner.takeStructure(UInt8(ascii: ","))
        return scanner.takeStructure(UInt8(ascii: "}")) && scanner.isAtEnd() ? members : nil
    }
}
