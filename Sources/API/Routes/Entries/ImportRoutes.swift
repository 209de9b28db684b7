// Keyvane
// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Hummingbird
import Notifier
import Store

/// Documents into an environment: all of one in one transaction, or nothing, or only what it would do.
struct ImportRoutes: Sendable {
    private enum Mode: String {
        /// What the document doesn't name stays.
        case merge
        /// What the document doesn't name goes.
        case replace
    }

    private static let mediaTypes = [
        "text/plain", "application/json", "application/yaml", "application/x-yaml", "application/octet-stream",
    ]

    let store: ConfigurationStore
    let committer: Committer
    let watchers: WatcherDirectory
    /// Of a document; larger than that of other bodies.
    let limit: @Sendable () -> Int

    var routes: [APIRoute] {
        [.authorized(.put, EnvironmentRoutes.one + "/configuration", write)]
    }

    /// PUT `?format=…&mode=merge|replace&secrets=GLOB,…&dryRun=true`.
    @Sendable private func write(_ call: AuthorizedCall) async throws -> Response {
        let query = try QueryParameters(call.request, allowed: Set(["format", "mode", "secrets", "dryRun"] + AppliedWish.parameters))
        let wish = try AppliedWish.reading(query)
        let format = try Self.format(query, call.request)
        guard let mode = Mode(rawValue: query.text("mode") ?? "merge") else {
            throw Problem.invalidParameter("mode", "must be merge or replace")
        }
        let isDryRun = try query.flag("dryRun") ?? false
        let secretNames = query.text("secrets") == nil ? NameSet.none : try query.names("secrets")
        let scope = try await call.environment()
        try scope.requireWrite()
        let precondition = try Precondition.configuration(call.request)
        let input = try await call.input(Self.mediaTypes, limit: limit())
        let document = try Self.entries(input, format, mode)
        try Self.requireWrite(document, scope)
        if isDryRun { return try await preview(document, mode, secretNames, scope) }
        let key = input.idempotencyKey
        return try await committer.commit(call, scope, .importDocument, wish, key: key, precondition: precondition) {
            let now = try await store.state(environmentID: scope.record.id)
            let changes = try Self.changes(document, mode, secretNames, now)
            try scope.requireWrite(changes.map(\.name))
            return (changes, mode == .replace ? now.revision : nil)
        }.answer(call, scope)
    }

    /// Said by the parameter, or else by the Content-Type.
    private static func format(_ query: QueryParameters, _ request: Request) throws(Problem) -> ConfigurationFormat {
        let allowed = ConfigurationFormat.importable
        if let format = try query.format() {
            if allowed.contains(format) { return format }
            let names = allowed.map(\.rawValue).joined(separator: ", ")
            throw .invalidParameter("format", "can't be imported; import one of \(names)")
        }
        switch request.headers[.contentType]?.lowercased().split(separator: ";").first {
        case "application/json": return .json
        case "application/yaml", "application/x-yaml": return .yaml
        case "text/plain": return .dotenv
        case nil, .some: throw .invalidParameter("format", "is missing, and the Content-Type doesn't say it either")
        }
    }

    private static func entries(_ input: RequestInput, _ format: ConfigurationFormat, _ mode: Mode) throws(Problem) -> [ImportedEntry] {
        if format == .json, mode == .replace { try refuseWithheld(input.json()) }
        do throws(FormatFault) {
            return try ConfigurationImport.parse(input.bytes, as: format)
        } catch {
            // Not even JSON is said in the same way as everywhere.
            if format == .json { _ = try input.json() }
            throw .invalidBody(error.faults.map { FieldFault($0.place, $0.detail) })
        }
    }

    /// An export by somebody who may not read the secrets lacks them: to replace by it would delete them.
    private static func refuseWithheld(_ json: JSONValue) throws(Problem) {
        guard case .object(let members) = json, case .integer(let count)? = members.first(where: { $0.name == "withheld" })?.value,
            count > 0
        else { return }
        throw .invalidBody([
            FieldFault("/withheld", "says that \(count) secrets are missing from this document; mode=replace would delete them")
        ])
    }

    private static func requireWrite(_ document: [ImportedEntry], _ scope: EnvironmentScope) throws(Problem) {
        let refused = document.filter { !scope.access.canWrite($0.name) }
        if refused.isEmpty { return }
        throw Problem.notGranted("write").with { problem in
            problem.faults = refused.prefix(100).map { FieldFault($0.place, "\($0.name) is outside of what this token may write") }
        }
    }

    /// A known name keeps its kind; a new one is what the document, or `secrets`, says.
    private static func changes(
        _ document: [ImportedEntry],
        _ mode: Mode,
        _ secretNames: NameSet,
        _ now: EnvironmentState
    ) throws(Problem) -> [EntryChange] {
        let present = Dictionary(uniqueKeysWithValues: now.entries.map { ($0.name, $0.kind) })
        var faults: [FieldFault] = []
        var changes: [EntryChange] = []
        for entry in document {
            let said: EntryKind? = entry.isSecret.map { $0 ? .secret : .variable }
            let old = present[entry.name]
            if let old, let said, old != said {
                faults.append(FieldFault(entry.place, "\(entry.name) is a \(old.rawValue)"))
            }
            // Said in any case: a name that is deleted meanwhile must not come back as the other kind.
            let kind = said ?? old ?? (secretNames.contains(entry.name) ? .secret : .variable)
            changes.append(
                EntryChange(name: entry.name, op: .set(entry.value), kind: kind, enabled: mode == .replace ? true : nil)
            )
        }
        if !faults.isEmpty { throw Problem.otherKind(faults) }
        if mode == .replace {
            let named = Set(document.map(\.name))
            changes += now.entries.filter { !named.contains($0.name) }.map { EntryChange(name: $0.name, op: .delete) }
        }
        return changes
    }

    /// What it would do, and how many it would reach. Null watchers: nobody knows, because Redis is away.
    private func preview(
        _ document: [ImportedEntry],
        _ mode: Mode,
        _ secretNames: NameSet,
        _ scope: EnvironmentScope
    ) async throws -> Response {
        let now = try await store.state(environmentID: scope.record.id)
        let changes = try Self.changes(document, mode, secretNames, now)
        try scope.requireWrite(changes.map(\.name))
        var secrets = SecretReader(store, scope)
        let old = try await secrets.compared(now)
        var new = old
        let kinds = Dictionary(uniqueKeysWithValues: now.entries.map { ($0.name, $0.kind) })
        for change in changes {
            switch change.op {
            case .set(let text):
                let kind = change.kind ?? .variable
                // What is disabled, and stays so, changes nothing that anybody sees.
                if change.enabled == nil, kinds[change.name] != nil, old[change.name] == nil { continue }
                new[change.name] = ComparedEntry(kind: kind, text: text, version: nil)
            case .restore, .delete, .enable, .disable, .rename, .seal, .rollback:
                new[change.name] = nil
            }
        }
        let difference = ConfigurationDifference(from: old, to: new, isOneHistory: true)
        let count = await watchers.watcherCount(environmentID: scope.record.id)
        return .json(headers: .configuration.tagged(now.revision)) { answer in
            difference.write(&answer)
            if let count { answer.member("watchers", count) } else { answer.member("watchers", String?.none) }
        }
    }
}

extension QueryParameters {
    func flag(_ name: String) throws(Problem) -> Bool? {
        switch text(name) {
        case nil: return nil
        case "true": return true
        case "false": return false
        case .some: throw .invalidParameter(name, "must be true or false")
        }
    }
}
