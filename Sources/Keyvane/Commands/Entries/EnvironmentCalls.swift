// Keyvane
// SPDX-License-Identifier: Apache-2.0

// What commands about one environment call, and what they get.
// Flows through: a command's arguments into REST paths and bodies; answers into the plain structs of `EnvironmentAnswers`.
// Owner: each command makes its own; nothing is kept between commands.
// Must hold: a name is looked up in the kind that it has; lists are read to their end; nothing that a server answers is guessed.

import Foundation
import KeyvaneClient
import NIOCore
import NIOHTTP1

/// REST calls about one environment.
struct EnvironmentCalls: Sendable {
    let client: ConfigurationClient
    let environment: String
    private let path: EnvironmentPath

    init(_ client: ConfigurationClient, _ environment: String) throws(ClientError) {
        self.client = client
        self.environment = environment
        path = try EnvironmentPath(environment)
    }

    // MARK: - Reads

    func head() async throws(ClientError) -> EnvironmentHead {
        try await client.call(.GET, path.path, as: EnvironmentHead.self)
    }

    /// Entries of both kinds by name, the disabled ones included; secrets without values.
    func entries(search: String? = nil) async throws(ClientError) -> [EntryDetails] {
        let query = search.map { ["q=" + ConfigurationClient.percentEncoded($0)] } ?? []
        let variables = try await client.all(path.path + "/variables", query, of: EntryDetails.self)
        let secrets = try await client.all(path.path + "/secrets", query, of: EntryDetails.self)
        return (variables + secrets).sorted { $0.name < $1.name }
    }

    /// An entry's versions, the newest first.
    func versions(of name: String, limit: Int) async throws(ClientError) -> (isSecret: Bool, versions: [EntryVersion]) {
        let entry = try await entryPath(name)
        let versions = try await client.all(entry + "/versions", limit: limit, of: EntryVersion.self)
        return (entry.hasPrefix(path.path + "/secrets/"), versions)
    }

    /// The environment's last changes, the newest first; `limit` is 1 to 200. Unrevealed, no secret is read and none is in the audit.
    func changes(limit: Int, reveal: Bool) async throws(ClientError) -> [WatchChange] {
        let head = try await head().revision
        let answer = try await client.call(
            .GET,
            path.path + "/changes?since=\(max(0, head - limit))&limit=\(limit)&reveal=\(reveal)",
            as: ChangeList.self
        )
        return answer.items.reversed()
    }

    /// The revision that the last transaction started from.
    func beforeLastChange(_ head: Int) async throws(ClientError) -> Int {
        let last = try await client.call(.GET, path.path + "/changes?since=\(max(0, head - 1))&reveal=false", as: ChangeList.self)
        return max(0, (last.items.map(\.revision).min() ?? head) - 1)
    }

    func difference(_ query: String) async throws(ClientError) -> Difference {
        try await client.call(.GET, path.path + "/diff?" + query, as: Difference.self)
    }

    /// The configuration in one of the service's text formats.
    func export(_ query: [String]) async throws(ClientError) -> ByteBuffer {
        try await client.call(.GET, path.path + "/configuration?" + query.joined(separator: "&"), headers: ["accept": "*/*"])
    }

    // MARK: - Mutations

    /// An action on one entry, such as `disable`.
    func act(_ action: String, on name: String, body: (any Encodable & Sendable)? = nil) async throws(ClientError) -> EntryDetails {
        try await client.call(.POST, try await entryPath(name) + "/" + action, body: body, as: EntryDetails.self)
    }

    /// An action on the whole environment, such as `promote`.
    func act(_ action: String, body: any Encodable & Sendable) async throws(ClientError) -> MutationResult {
        try await client.call(.POST, path.path + "/" + action, body: body, as: MutationResult.self)
    }

    func upload<Answer: Decodable>(
        _ document: ByteBuffer,
        _ query: [String],
        contentType: String,
        as answer: Answer.Type
    ) async throws(ClientError) -> Answer {
        let path = path.path + "/configuration?" + query.joined(separator: "&")
        return try await client.upload(document, path, contentType: contentType, as: answer)
    }

    /// Names are unique across both kinds, so a name that is no variable may still be a secret.
    private func entryPath(_ name: String) async throws(ClientError) -> String {
        let variable = try path.entry(name, in: "variables")
        do {
            _ = try await client.call(.GET, variable + "/versions?limit=1")
            return variable
        } catch {
            guard error.status == 404 else { throw error }
        }
        return try path.entry(name, in: "secrets")
    }
}

extension ConfigurationClient {
    /// Globs as they stand between commas, in a query.
    static func globs(_ text: String) -> String {
        text.split(separator: ",").map { percentEncoded(String($0)) }.joined(separator: ",")
    }

    /// The items of a list, page after page, up to a limit.
    func all<Item: Decodable>(
        _ path: String,
        _ query: [String] = [],
        limit: Int = .max,
        of item: Item.Type
    ) async throws(ClientError) -> [Item] {
        var items: [Item] = []
        var cursor: String?
        repeat {
            var parts = query + ["limit=\(min(200, limit - items.count))"]
            if let cursor { parts.append("cursor=" + Self.percentEncoded(cursor)) }
            let page = try await call(.GET, path + "?" + parts.joined(separator: "&"), as: Page<Item>.self)
            items += page.items
            cursor = page.nextCursor
        } while cursor != nil && items.count < limit
        return items
    }
}

private struct Page<Item: Decodable>: Decodable {
    let items: [Item]
    let nextCursor: String?
}
