// Keyvane
// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Hummingbird
import Store

/// The whole configuration of an environment: read at one revision, changed in one transaction.
struct ConfigurationRoutes: Sendable {
    let store: ConfigurationStore
    let committer: Committer

    var routes: [APIRoute] {
        let path = EnvironmentRoutes.one + "/configuration"
        return [.authorized(.get, path, read), .authorized(.patch, path, change)]
    }

    /// GET: all enabled entries at one revision, which is also the tag. A client that has it already is told so without reading them.
    @Sendable private func read(_ call: AuthorizedCall) async throws -> Response {
        let query = try call.query("names", "format", "at")
        let names = try query.names("names")
        let format = try query.format() ?? .json
        let revision = try query.revision("at")
        let scope = try await call.environment()
        try scope.requireRead()
        if let seen = try EntityTagList(.ifNoneMatch, of: call.request), seen.contains(String(revision ?? scope.record.revision)),
            revision ?? 0 <= scope.record.revision
        {
            return Response(status: .notModified, headers: .configuration.tagged(revision ?? scope.record.revision))
        }
        let snapshot =
            revision == nil
            ? try await store.snapshot(environmentID: scope.record.id)
            : try await store.state(environmentID: scope.record.id, at: revision, parameter: "at").snapshot
        let (shown, withheld) = try await visible(snapshot, scope, names)
        try await call.recordRead(of: shown.filter(\.isSecret).map(\.name), in: scope)
        let headers = HTTPFields.configuration.tagged(snapshot.revision)
        if format != .json {
            let place = scope.record.path.description
            let document = ConfigurationExport.render(
                shown,
                as: format,
                environment: place,
                revision: snapshot.revision,
                withheld: withheld
            )
            return .document(document, format, headers: headers)
        }
        let capacity = shown.reduce(256) { $0 + 128 + $1.name.utf8.count + $1.value.utf8.count }
        return .json(headers: headers, capacity: capacity) { answer in
            answer.member("environment", scope.record.path.description)
            answer.member("environmentId", scope.record.id)
            answer.member("revision", snapshot.revision)
            answer.member("cursor", snapshot.cursor.description)
            answer.member("entries", array: shown) { list, item in
                list.object { $0.members(item) }
            }
            answer.member("withheld", withheld)
        }
    }

    /// What the token may not know of is not there; a secret that it may know of but not read is counted.
    private func visible(_ snapshot: Snapshot, _ scope: EnvironmentScope, _ names: NameSet) async throws -> ([ExportedEntry], Int) {
        var secrets = SecretReader(store, scope)
        var shown: [ExportedEntry] = []
        var withheld = 0
        for entry in snapshot.entries where names.contains(entry.name) && scope.access.canRead(entry.name) {
            if let value = try await secrets.text(entry.value, name: entry.name, version: entry.version) {
                shown.append(
                    ExportedEntry(
                        name: entry.name,
                        value: value,
                        isSecret: entry.kind == .secret,
                        version: entry.version,
                        revision: entry.revision
                    )
                )
            } else {
                withheld += 1
            }
        }
        return (shown, withheld)
    }

    /// PATCH: everything in the body, or nothing. The answer has the changes in the order of their revisions.
    @Sendable private func change(_ call: AuthorizedCall) async throws -> Response {
        let wish = try call.appliedWish()
        let scope = try await call.environment()
        try scope.requireWrite()
        let input = try await call.input()
        let body = try PatchBody(input.json())
        try Self.requireWrite(body, scope)
        return try await committer.commit(call, scope, body.changes, .patch, wish, key: input.idempotencyKey).answer(call, scope)
    }

    /// Every name at fault is named. The environment is known to the caller, so it is 403 whatever the names are.
    private static func requireWrite(_ body: PatchBody, _ scope: EnvironmentScope) throws(Problem) {
        let refused = zip(body.changes, body.pointers).filter { !scope.access.canWrite($0.0.name) }
        if refused.isEmpty { return }
        throw Problem.notGranted("write").with { problem in
            problem.faults = refused.prefix(100).map { FieldFault($0.1, "is outside of what this token may write") }
        }
    }
}

extension QueryParameters {
    /// `name=glob,glob`; absent is everything.
    func names(_ parameter: String) throws(Problem) -> NameSet {
        guard let texts = list(parameter) else { return .everything }
        let globs = texts.compactMap(NameGlob.init)
        if globs.count > NameSet.maximumGlobs { throw .invalidParameter(parameter, "may hold \(NameSet.maximumGlobs) patterns at most") }
        if globs.count < texts.count { throw .invalidParameter(parameter, "must be names or patterns with * and ?, separated by commas") }
        return NameSet(globs)
    }

    func format() throws(Problem) -> ConfigurationFormat? {
        guard let text = text("format") else { return nil }
        if let format = ConfigurationFormat(rawValue: text) { return format }
        let allowed = ConfigurationFormat.allCases.map(\.rawValue).joined(separator: ", ")
        throw .invalidParameter("format", "must be one of \(allowed)")
    }
}
