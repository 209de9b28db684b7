// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// A message of the gateway's, read by none of the product's own code.
struct WatchMessage: Decodable {
    struct Item: Decodable {
        let op: String?
        let name: String
        let value: String?
        let isSecret: Bool
        let version: Int
        let revision: Int

        var logged: LoggedChange {
            LoggedChange(
                isSet: op != "delete",
                name: name,
                value: value.map(ValueMark.of),
                isSecret: isSecret,
                version: version,
                revision: revision
            )
        }
    }

    let type: String
    let environment: String?
    let previousRevision: Int?
    let revision: Int?
    let cursor: String?
    let entries: [Item]?
    let changes: [Item]?
    let heads: [String: String]?
    let code: String?
    let message: String?
    let reason: String?
    let reconnectAfterMs: Int?

    init(_ bytes: Span<UInt8>) throws {
        let data = bytes.withUnsafeBufferPointer { Data(buffer: $0) }
        self = try JSONDecoder().decode(WatchMessage.self, from: data)
    }

    /// The revision that a cursor begins with.
    static func revision(of cursor: String) -> Int? {
        cursor.split(separator: "-").first.flatMap { Int($0) }
    }
}
