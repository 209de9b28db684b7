// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Crypto
import Foundation

/// Keeps a new token's text in its receipt without anybody who reads the table getting it. It opens for this very key of this caller only.
struct ReceiptSeal {
    private static let label = "receipt"

    private let ring: KeyRing
    private let place: Data

    init(_ ring: KeyRing, _ key: IdempotencyKey) {
        self.ring = ring
        place = Data("\(key.token)|\(key.key)".utf8)
    }

    func seal(_ text: String) throws(StoreError) -> String {
        do {
            let box = try AES.GCM.seal(Data(text.utf8), using: ring.derivedKey(label: Self.label), authenticating: place)
            return (box.combined ?? Data()).base64EncodedString()
        } catch {
            throw StoreError(.internalError, "a receipt could not be sealed", underlying: "\(error)")
        }
    }

    /// A ring that is being rotated still has the key of a day ago.
    func open(_ sealed: String) throws(StoreError) -> String {
        if let data = Data(base64Encoded: sealed), let box = try? AES.GCM.SealedBox(combined: data) {
            for key in ring.derivedKeys(label: Self.label) {
                if let text = try? AES.GCM.open(box, using: key, authenticating: place) { return String(decoding: text, as: UTF8.self) }
            }
        }
        throw StoreError(.sealedValueUnreadable, "a receipt can't be opened", underlying: "the receipt of a token's creation")
    }
}
