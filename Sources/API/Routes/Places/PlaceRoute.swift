// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import HTTPTypes
import Hummingbird
import Store

/// What workspaces, projects and environments have in common: tags on their answers, a 412 that tells how it is, and their end.
struct PlaceRoute<Record: Sendable>: Sendable {
    let read: @Sendable () async throws -> Record
    let tag: @Sendable (Record) -> String
    let write: @Sendable (inout JSONWriter, Record) -> Void
    /// Of an environment: what it has after the mutation.
    var revision: @Sendable (Record) -> Int64? = { _ in nil }

    /// GET of one; 304 to whoever has it already.
    func answer(_ call: AuthorizedCall) async throws -> Response {
        let record = try await read()
        let headers = HTTPFields.configuration.tagged(tag(record))
        if let seen = try EntityTagList(.ifNoneMatch, of: call.request), seen.contains(tag(record)) {
            return Response(status: .notModified, headers: headers)
        }
        return .json(headers: headers) { write(&$0, record) }
    }

    /// A mutation's answer.
    func answer(
        _ status: HTTPResponse.Status = .ok,
        _ headers: HTTPFields = .configuration,
        _ change: () async throws(StoreError) -> Record
    ) async throws -> Response {
        let answer = try await answer(status, ifDone: headers) { () throws(StoreError) -> Record? in try await change() }
        guard let answer else { throw Problem.unexpected }
        return answer
    }

    /// Nil where nothing was done and the caller must decide anew. A failed precondition gets the state as it is now, with its tag.
    func answer(
        _ status: HTTPResponse.Status = .ok,
        ifDone headers: HTTPFields,
        _ change: () async throws(StoreError) -> Record?
    ) async throws -> Response? {
        do throws(StoreError) {
            guard let record = try await change() else { return nil }
            var headers = headers.tagged(tag(record))
            if let revision = revision(record) { headers = headers.at(revision: revision) }
            return .json(status, headers: headers) { write(&$0, record) }
        } catch  where error.code == .preconditionFailed {
            throw try await preconditionFailed(error)
        } catch {
            throw Problem(error, conflict: .alreadyExists)
        }
    }

    /// DELETE: 204, and whoever watched one of the environments is told.
    func remove(_ announcer: Announcer, _ removal: () async throws(StoreError) -> [UUID]) async throws -> Response {
        do throws(StoreError) {
            for id in try await removal() { announcer.deleted(environmentID: id) }
            return Response(status: .noContent)
        } catch  where error.code == .preconditionFailed {
            throw try await preconditionFailed(error)
        } catch {
            throw Problem(error, conflict: .notEmpty)
        }
    }

    private func preconditionFailed(_ error: StoreError) async throws -> Problem {
        let record = try await read()
        return Problem(error).with { problem in
            problem.headers[.eTag] = "\"\(tag(record))\""
            problem.current = { [write] in write(&$0, record) }
        }
    }
}
