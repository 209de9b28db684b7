// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Store

/// What a text field may hold: the store's own rules, asked before the store is, so that all faults of a body are reported together.
struct TextRule: Sendable {
    private let check: @Sendable (String) throws(StoreError) -> String

    static let slug = TextRule { text throws(StoreError) in try InputRules.slug(text, field: "it") }
    static let entryName = TextRule { text throws(StoreError) in try InputRules.entryName(text, field: "it") }
    static let value = TextRule { text throws(StoreError) in try InputRules.value(text, field: "it") }
    static let title = TextRule { text throws(StoreError) in try InputRules.title(text, field: "it") }
    static let remark = TextRule { text throws(StoreError) in try InputRules.remark(text, field: "it") }
    /// For fields that are judged as something else afterwards.
    static let any = TextRule { text throws(StoreError) in text }

    init(_ check: @escaping @Sendable (String) throws(StoreError) -> String) {
        self.check = check
    }

    func fault(_ text: String) -> String? {
        do throws(StoreError) {
            _ = try check(text)
            return nil
        } catch {
            // The field's own name stands beside the detail already.
            return String(error.message.trimmingPrefix("it "))
        }
    }
}
