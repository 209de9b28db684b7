// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Which part of a list: `limit` items after the one the last page ended with.
package struct PageRequest: Hashable, Sendable {
    package static let maximumLimit = 200

    package let limit: Int
    package let after: String?

    /// - Throws: `invalid` with field `limit` or `cursor`.
    package init(limit: Int = 50, after: String? = nil) throws(StoreError) {
        guard (1...Self.maximumLimit).contains(limit) else {
            throw StoreError(.invalid, "limit must be 1 to \(Self.maximumLimit)", field: "limit")
        }
        if let after { try InputRules.remark(after, field: "cursor") }
        self.limit = limit
        self.after = after
    }
}

package struct Page<Item: Sendable>: Sendable {
    package let items: [Item]
    /// Nil on the last page.
    package let nextCursor: String?

    /// `found` has been read with one item more than was asked for: that one says whether there is a next page.
    init(_ found: [Item], of request: PageRequest, cursor: (Item) -> String) {
        items = Array(found.prefix(request.limit))
        nextCursor = found.count > request.limit ? items.last.map(cursor) : nil
    }
}
