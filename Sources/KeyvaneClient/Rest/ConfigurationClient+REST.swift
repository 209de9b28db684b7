// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import NIOCore
package import NIOHTTP1

extension ConfigurationClient {
    /// The whole configuration of an environment, or what it was at a revision.
    public func configuration(
        _ environment: String,
        at revision: Int? = nil,
        names: [String] = []
    ) async throws(ClientError) -> EnvironmentConfiguration {
        var query: [String] = []
        if let revision { query.append("at=\(revision)") }
        if !names.isEmpty { query.append("names=" + names.map(Self.percentEncoded).joined(separator: ",")) }
        let path = try EnvironmentPath(environment).path + "/configuration"
        return try await caller.call(
            .GET,
            query.isEmpty ? path : path + "?" + query.joined(separator: "&"),
            as: EnvironmentConfiguration.self
        )
    }

    /// One entry, whichever kind it is.
    public func get(_ name: String, in environment: String) async throws(ClientError) -> EntryDetails {
        let path = try EnvironmentPath(environment)
        do {
            return try await caller.call(.GET, try path.entry(name, in: "variables"), as: EntryDetails.self)
        } catch {
            // Names are unique across both kinds, so a name that is no variable may still be a secret.
            guard error.status == 404 else { throw error }
        }
        return try await caller.call(.GET, try path.entry(name, in: "secrets"), as: EntryDetails.self)
    }

    /// Writes and deletes entries in one transaction.
    ///
    /// - Parameters:
    ///   - assignments: What to write.
    ///   - deleted: The names to delete; absent ones are none of its business.
    ///   - environment: `workspace/project/environment`.
    ///   - revision: The revision that the environment must have, or else nothing is changed and the error has the status 412.
    @discardableResult
    public func set(
        _ assignments: [EntryAssignment],
        delete deleted: [String] = [],
        in environment: String,
        ifRevision revision: Int? = nil
    ) async throws(ClientError) -> MutationResult {
        var headers = HTTPHeaders()
        if let revision { headers.add(name: "if-match", value: "\"\(revision)\"") }
        return try await caller.call(
            .PATCH,
            try EnvironmentPath(environment).path + "/configuration",
            headers: headers,
            body: ConfigurationPatch(set: assignments, delete: deleted),
            as: MutationResult.self
        )
    }

    /// Writes one entry.
    ///
    /// - Parameters:
    ///   - name: The entry's name.
    ///   - value: Its new value.
    ///   - secret: Whether a new entry becomes a secret. A known entry keeps its kind; asking for a secret where it is a variable is refused.
    ///   - environment: `workspace/project/environment`.
    @discardableResult
    public func set(
        _ name: String,
        to value: String,
        secret: Bool = false,
        in environment: String
    ) async throws(ClientError) -> MutationResult {
        try await set([EntryAssignment(name, value, isSecret: secret ? true : nil)], in: environment)
    }

    /// The token that this client uses.
    public func whoami() async throws(ClientError) -> TokenDescription {
        try await caller.call(.GET, "/v1/whoami", as: TokenDescription.self)
    }

    /// Any other call, for the `keyvane` command: the answer's body as it came.
    package func call(
        _ method: HTTPMethod,
        _ path: String,
        headers: HTTPHeaders = [:],
        body: (any Encodable & Sendable)? = nil
    ) async throws(ClientError) -> ByteBuffer {
        try await caller.call(method, path, headers: headers, body: body)
    }

    /// Any other call, its answer decoded.
    package func call<Answer: Decodable>(
        _ method: HTTPMethod,
        _ path: String,
        headers: HTTPHeaders = [:],
        body: (any Encodable & Sendable)? = nil,
        as answer: Answer.Type
    ) async throws(ClientError) -> Answer {
        try await caller.call(method, path, headers: headers, body: body, as: answer)
    }

    /// A document that is no JSON of ours, such as a dotenv file.
    package func upload<Answer: Decodable>(
        _ document: ByteBuffer,
        _ path: String,
        contentType: String,
        as answer: Answer.Type
    ) async throws(ClientError) -> Answer {
        try await caller.call(.PUT, path, headers: ["content-type": contentType], bytes: document, as: answer)
    }

    /// Text as it may stand in a query.
    package static func percentEncoded(_ glob: String) -> String {
        var result = ""
        for byte in glob.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "*"):
                result.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                result += "%" + (byte < 0x10 ? "0" : "") + String(byte, radix: 16, uppercase: true)
            }
        }
        return result
    }
}

/// The body of PATCH on a configuration.
private struct ConfigurationPatch: Encodable, Sendable {
    let set: [EntryAssignment]
    let delete: [String]
}
