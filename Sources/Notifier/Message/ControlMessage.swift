// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Wire

/// What others must do at once; rare. About tokens and environments it is a hint only: both are swept without it too. An instance that misses
/// what it is asked to do shows that by its state in the registry.
package enum ControlMessage: Hashable, Sendable {
    /// `sequence` is the event's number in PostgreSQL's log of tokens: who misses the one before it has missed a message. An older process sends none.
    case tokenRevoked(tokenID: String, sequence: Int64? = nil)
    /// Its grants, its expiry or its description are others than before. Of the last event where this was none.
    case tokenChanged(tokenID: String, sequence: Int64? = nil)
    case environmentDeleted(environmentID: String)
    case instanceDrain(InstanceOrder)
    case instanceReady(InstanceOrder)

    private static let type = "type"
    private static let mac = "mac"
    private static let longest = 4 * 1024

    private var kind: String {
        switch self {
        case .tokenRevoked: "token-revoked"
        case .tokenChanged: "token-changed"
        case .environmentDeleted: "environment-deleted"
        case .instanceDrain: "instance-drain"
        case .instanceReady: "instance-ready"
        }
    }

    private var fields: [(key: String, value: String)] {
        switch self {
        case .tokenRevoked(let tokenID, let sequence), .tokenChanged(let tokenID, let sequence):
            [("tokenId", tokenID)] + (sequence.map { [("sequence", String($0))] } ?? [])
        case .environmentDeleted(let environmentID): [("environmentId", environmentID)]
        case .instanceDrain(let order), .instanceReady(let order):
            [("role", order.role.rawValue), ("name", order.name), ("at", String(order.at))]
        }
    }

    private var canonicalForm: CanonicalForm {
        var form = CanonicalForm(kind: "keyvane control 1", capacity: 128)
        form.append(kind)
        for field in fields { form.append(field.value) }
        return form
    }

    /// The JSON text, with its code.
    package func encoded(_ authenticator: MessageAuthenticator) -> [UInt8] {
        var out: [UInt8] = []
        out.append(#"{"type":"#)
        JSONText.append(quoted: kind, to: &out)
        for field in fields {
            out.append(",")
            JSONText.append(quoted: field.key, to: &out)
            out.append(":")
            JSONText.append(quoted: field.value, to: &out)
        }
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
            case "token-revoked": members["tokenId"].map { .tokenRevoked(tokenID: $0, sequence: sequence(members)) }
            case "token-changed": members["tokenId"].map { .tokenChanged(tokenID: $0, sequence: sequence(members)) }
            case "environment-deleted": members["environmentId"].map { .environmentDeleted(environmentID: $0) }
            case "instance-drain": InstanceOrder(members).map { .instanceDrain($0) }
            case "instance-ready": InstanceOrder(members).map { .instanceReady($0) }
            default: nil
            }
        guard let message else { return nil }
        // A member that no code covers must not ride along with a valid one.
        guard let mac = members[mac], members.count == message.fields.count + 2 else { return (message, false) }
        return (message, authenticator.isValid(mac, for: message.canonicalForm))
    }

    /// One that can't be read isn't covered by the code, and so isn't trusted.
    private static func sequence(_ members: [String: String]) -> Int64? {
        members["sequence"].flatMap { Int64($0) }
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

extension InstanceOrder {
    fileprivate init?(_ members: [String: String]) {
        guard let role = members["role"].flatMap(InstanceRecord.Role.init), let name = members["name"] else { return nil }
        guard let at = members["at"].flatMap(Int64.init) else { return nil }
        self.init(role: role, name: name, at: at)
    }
}
