// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Store
import Wire

/// A request's `id`, given back as it came.
package enum MessageID: Hashable, Sendable {
    case number(Int64)
    case text(String)
}

/// What a watcher asks for with one `subscribe`, or with the query of its URL.
package struct SubscribeRequest: Hashable, Sendable {
    package var id: MessageID?
    package let environment: EnvironmentPath
    package var since: ResumePoint?
    package var names = NameSet.everything
    package var acks = false

    package init(
        id: MessageID? = nil,
        environment: EnvironmentPath,
        since: ResumePoint? = nil,
        names: NameSet = .everything,
        acks: Bool = false
    ) {
        self.id = id
        self.environment = environment
        self.since = since
        self.names = names
        self.acks = acks
    }
}

/// A text message of a client (`docs/protocol.md`), read and checked.
package enum ClientMessage: Hashable, Sendable {
    package enum AckStatus: String, Sendable {
        case applied
        case failed
    }

    case authenticate(token: String)
    case subscribe(SubscribeRequest)
    case unsubscribe(id: MessageID?, environment: String)
    case ack(environment: String, revision: Int64, status: AckStatus, message: String? = nil)

    /// Why a message was not taken.
    package enum Fault: Error, Hashable {
        /// Not of this protocol: the connection closes with 4400.
        case bad(String)
        /// Understood and refused: an `error` with the request's id.
        case refused(id: MessageID?, environment: String?, message: String)
    }

    package static let identifierLimit = 64
    package static let globLimit = 100
    package static let remarkLimit = 4_096

    package init(parsing payload: Span<UInt8>) throws(Fault) {
        guard case .object(let members)? = JSONValue(parsing: payload) else { throw .bad("a message is one JSON object") }
        guard case .string(let type)? = members["type"] else { throw .bad("a message has a 'type'") }
        switch type {
        case "authenticate":
            guard case .string(let token)? = members["token"] else { throw .bad("'authenticate' has a 'token'") }
            self = .authenticate(token: token)
        case "subscribe":
            self = .subscribe(try Self.subscribe(members))
        case "unsubscribe":
            self = .unsubscribe(id: try Self.id(members), environment: try Self.environment(members))
        case "ack":
            self = try Self.ack(members)
        default:
            throw .bad("unknown type: send authenticate, subscribe, unsubscribe or ack")
        }
    }

    private static func subscribe(_ members: [String: JSONValue]) throws(Fault) -> SubscribeRequest {
        let id = try id(members)
        let text = try environment(members)
        func refused(_ message: String) -> Fault { .refused(id: id, environment: text, message: message) }

        let path: EnvironmentPath
        do throws(StoreError) {
            path = try EnvironmentPath(parsing: text)
        } catch {
            throw refused(error.message)
        }
        var request = SubscribeRequest(id: id, environment: path)
        switch members["since"] {
        case nil, .null: break
        case .integer(let revision) where revision >= 0: request.since = ResumePoint(revision: revision)
        case .string(let text):
            guard let point = ResumePoint(parsing: text) else { throw refused("'since' is a revision or a cursor") }
            request.since = point
        default: throw refused("'since' is a revision or a cursor")
        }
        switch members["names"] {
        case nil, .null: break
        case .array(let elements):
            let texts = elements.compactMap { element -> String? in
                if case .string(let text) = element { text } else { nil }
            }
            guard texts.count == elements.count, let names = NameSet(filter: texts) else { throw refused(Self.namesRule) }
            request.names = names
        default: throw refused(Self.namesRule)
        }
        switch members["acks"] {
        case nil, .null: break
        case .bool(let acks): request.acks = acks
        default: throw refused("'acks' is true or false")
        }
        return request
    }

    package static let namesRule = "'names' is a list of 1 to \(globLimit) globs, such as FEATURE_*"

    private static func ack(_ members: [String: JSONValue]) throws(Fault) -> ClientMessage {
        let text = try environment(members)
        guard case .integer(let revision)? = members["revision"], revision >= 0 else { throw .bad("'ack' has a 'revision'") }
        guard case .string(let name)? = members["status"], let status = AckStatus(rawValue: name) else {
            throw .bad("'status' is applied or failed")
        }
        let message: String?
        switch members["message"] {
        case nil, .null: message = nil
        case .string(let remark) where remark.utf8.count <= remarkLimit: message = remark
        default: throw .bad("'message' is a text of at most \(remarkLimit) bytes")
        }
        return .ack(environment: text, revision: revision, status: status, message: message)
    }

    private static func environment(_ members: [String: JSONValue]) throws(Fault) -> String {
        guard case .string(let text)? = members["environment"] else { throw .bad("'environment' is missing") }
        return text
    }

    private static func id(_ members: [String: JSONValue]) throws(Fault) -> MessageID? {
        switch members["id"] {
        case nil, .null: return nil
        case .integer(let number): return .number(number)
        case .string(let text) where text.utf8.count <= identifierLimit: return .text(text)
        default: throw .bad("'id' is an integer or a text of at most \(identifierLimit) bytes")
        }
    }
}

extension NameSet {
    /// A watcher's filter; nil where one of the texts is no glob, or there are too many, or none.
    init?(filter texts: [String]) {
        let globs = texts.compactMap(NameGlob.init)
        guard globs.count == texts.count, !globs.isEmpty, globs.count <= ClientMessage.globLimit else { return nil }
        self.init(globs)
    }
}
