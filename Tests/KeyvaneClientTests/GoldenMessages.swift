// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import KeyvaneClient
import NIOCore

/// The wire messages that client and gateway are both held to.
enum GoldenMessages {
    static let environment = "acme/web/production"
    static let environmentId = "5b1f0c1e-6d0e-4f5c-9a57-3c1f2d7e8a90"

    static func text(_ name: String) throws -> String {
        let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../Golden/watch/\(name).json")
        return try String(contentsOf: file, encoding: .utf8).trimmingCharacters(in: .newlines)
    }

    static func message(_ name: String) throws -> ServerMessage {
        try ServerMessage(json: ByteBuffer(string: try text(name)))
    }

    static func snapshot(_ revision: Int, mark: String = "m", _ values: [String: String]) -> WatchSnapshot {
        WatchSnapshot(
            environment: environment,
            environmentId: environmentId,
            revision: revision,
            cursor: cursor(revision, mark),
            entries: values.sorted { $0.key < $1.key }.map {
                ConfigurationEntry(name: $0.key, value: $0.value, isSecret: false, version: 1, revision: revision)
            }
        )
    }

    /// A frame whose changes, one revision each, lead up to `revision`; a nil value is a delete.
    static func changes(
        _ previous: Int,
        _ revision: Int,
        mark: String = "m",
        _ changes: [(name: String, value: String?)]
    ) -> WatchChanges {
        WatchChanges(
            environment: environment,
            environmentId: environmentId,
            previousRevision: previous,
            revision: revision,
            cursor: cursor(revision, mark),
            changes: changes.enumerated().map { index, change in
                WatchChange(
                    op: change.value == nil ? .delete : .set,
                    name: change.name,
                    value: change.value,
                    isSecret: false,
                    version: 1,
                    revision: revision - changes.count + 1 + index
                )
            }
        )
    }

    static func cursor(_ revision: Int, _ mark: String = "m") -> WatchCursor {
        WatchCursor("\(revision)-\(mark)") ?? WatchCursor(revision: revision)
    }

    // MARK: - The same as text, for the scripted gateway

    static func json(_ snapshot: WatchSnapshot) throws -> String {
        let entries = String(decoding: try JSONEncoder().encode(snapshot.entries), as: UTF8.self)
        return """
            {"type":"snapshot","environment":"\(environment)","environmentId":"\(environmentId)","revision":\(snapshot.revision),\
            "cursor":"\(snapshot.cursor)","entries":\(entries)}
            """
    }

    static func json(_ changes: WatchChanges) throws -> String {
        let list = String(decoding: try JSONEncoder().encode(changes.changes), as: UTF8.self)
        return """
            {"type":"changes","environment":"\(environment)","environmentId":"\(environmentId)",\
            "previousRevision":\(changes.previousRevision),"revision":\(changes.revision),"cursor":"\(changes.cursor)","changes":\(list)}
            """
    }

    static func subscribed(_ id: Int) -> String {
        #"{"type":"subscribed","id":\#(id),"environment":"\#(environment)","environmentId":"\#(environmentId)"}"#
    }
}
