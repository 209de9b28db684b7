// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Store
package import Wire

/// Opens the sealed text of a secret: name, version, sealed text.
package typealias SecretOpener = (_ name: String, _ version: Int64, _ sealed: String) throws -> String

/// Writes one environment's `snapshot` and `changes` messages as whole frames of a format. Confined to the feed loop, as its deflater is.
package struct FrameEncoder {
    /// A frame is cut behind the transaction with which it reaches this size; a single transaction may be larger.
    package static let changesLimit = 1024 * 1024
    /// Smaller messages would gain nothing.
    private static let deflateMinimum = 128

    /// `,"environment":"w/p/e","environmentId":"…"`, the same in every message.
    private let scope: [UInt8]
    /// One for all environments: what it holds while it works would be too much for each. Without one nothing is compressed.
    private let deflater: Deflater?

    package init(environment: String, id: String, deflater: Deflater?) {
        self.deflater = deflater
        var scope: [UInt8] = []
        scope.append(#","environment":"#)
        JSONText.append(quoted: environment, to: &scope)
        scope.append(#","environmentId":"#)
        JSONText.append(quoted: id, to: &scope)
        self.scope = scope
    }

    /// `entries` are those that the group may see, sorted by name.
    package func snapshot(
        _ cursor: Cursor,
        entries: [SnapshotEntry],
        as format: WatchFormat = .webSocket,
        open: SecretOpener
    ) throws -> [UInt8] {
        if format == .socketIO { return try Self.updates(entries, open: open) }
        var out: [UInt8] = []
        out.append(#"{"type":"snapshot""#)
        out.append(contentsOf: scope)
        Self.append(cursor, to: &out)
        out.append(#","entries":["#)
        for (index, entry) in entries.enumerated() {
            out.append(index == 0 ? #"{"name":"# : #",{"name":"#)
            JSONText.append(quoted: entry.name, to: &out)
            out.append(#","value":"#)
            JSONText.append(quoted: try Self.plain(entry.value, entry.name, entry.version, open), to: &out)
            Self.append(isSecret: entry.kind == .secret, version: entry.version, revision: entry.revision, to: &out)
            out.append(0x7D)
        }
        out.append("]}")
        return framed(out, as: format, type: "snapshot", cursor, hasSecrets: entries.contains { $0.kind == .secret })
    }

    /// One frame; `changes` are visible ones in rising order, and may be none.
    package func changes(
        from previous: Int64,
        to cursor: Cursor,
        _ changes: some Sequence<Change>,
        as format: WatchFormat = .webSocket,
        open: SecretOpener
    ) throws -> [UInt8] {
        if format == .socketIO { return try Self.updates(changes, open: open) }
        var out: [UInt8] = []
        out.append(#"{"type":"changes""#)
        out.append(contentsOf: scope)
        out.append(#","previousRevision":"#)
        out.append(decimal: previous)
        Self.append(cursor, to: &out)
        out.append(#","changes":["#)
        var isFirst = true
        var hasSecrets = false
        for change in changes {
            if change.kind == .secret { hasSecrets = true }
            if !isFirst { out.append(0x2C) }
            isFirst = false
            switch change.op {
            case .set: out.append(#"{"op":"set","name":"#)
            case .delete: out.append(#"{"op":"delete","name":"#)
            }
            JSONText.append(quoted: change.name, to: &out)
            if let value = change.value {
                out.append(#","value":"#)
                JSONText.append(quoted: try Self.plain(value, change.name, change.version, open), to: &out)
            }
            Self.append(isSecret: change.kind == .secret, version: change.version, revision: change.revision, to: &out)
            out.append(#","at":"#)
            JSONText.append(quoted: change.at.description, to: &out)
            out.append(#","by":"#)
            JSONText.append(quoted: change.by, to: &out)
            out.append(0x7D)
        }
        out.append("]}")
        return framed(out, as: format, type: "changes", cursor, hasSecrets: hasSecrets)
    }

    static func plain(_ value: StoredValue, _ name: String, _ version: Int64, _ open: SecretOpener) throws -> String {
        switch value {
        case .plain(let text): text
        case .sealed(let text): try open(name, version, text)
        }
    }

    private static func append(_ cursor: Cursor, to out: inout [UInt8]) {
        out.append(#","revision":"#)
        out.append(decimal: cursor.revision)
        out.append(#","cursor":""#)
        out.append(cursor.description)
        out.append(0x22)
    }

    private static func append(isSecret: Bool, version: Int64, revision: Int64, to out: inout [UInt8]) {
        out.append(isSecret ? #","isSecret":true,"version":"# : #","isSecret":false,"version":"#)
        out.append(decimal: version)
        out.append(#","revision":"#)
        out.append(decimal: revision)
    }

    private func framed(_ payload: [UInt8], as format: WatchFormat, type: String, _ cursor: Cursor, hasSecrets: Bool) -> [UInt8] {
        var out: [UInt8] = []
        switch format {
        case .webSocket, .socketIO: WebSocketFrame.append(.text, payload, to: &out)
        case .deflated:
            // The size of what is compressed together tells of its parts: a secret is never beside what somebody else can choose (as in the
            // attacks CRIME and BREACH).
            if let deflater, !hasSecrets, payload.count >= Self.deflateMinimum {
                deflater.appendFrame(.text, payload.span, to: &out)
            } else {
                WebSocketFrame.append(.text, payload, to: &out)
            }
        case .events: ServerSentEvent.append(event: type, data: payload.span, id: cursor.description, to: &out)
        }
        return out
    }
}
