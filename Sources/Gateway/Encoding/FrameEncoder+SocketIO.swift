// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Store
import Wire

/// What keyshade's clients hear: each set value in a packet of its own, in plaintext, and nothing of deletions.
extension FrameEncoder {
    static func updates(_ changes: some Sequence<Change>, open: SecretOpener) throws -> [UInt8] {
        var out: [UInt8] = []
        for change in changes {
            guard let value = change.value else { continue }
            append(change.name, try plain(value, change.name, change.version, open), to: &out)
        }
        return out
    }

    static func updates(_ entries: [SnapshotEntry], open: SecretOpener) throws -> [UInt8] {
        var out: [UInt8] = []
        for entry in entries { append(entry.name, try plain(entry.value, entry.name, entry.version, open), to: &out) }
        return out
    }

    private static func append(_ name: String, _ value: String, to out: inout [UInt8]) {
        var packet: [UInt8] = []
        packet.append(#"42/change-notifier,["configuration-updated",{"name":"#)
        JSONText.append(quoted: name, to: &packet)
        packet.append(#","value":"#)
        JSONText.append(quoted: value, to: &packet)
        packet.append(#","isPlaintext":true}]"#)
        WebSocketFrame.append(.text, packet, to: &out)
    }
}
