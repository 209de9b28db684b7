// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Crypto
package import Foundation

/// A project's data key: seals and opens its secrets, without waiting for anything.
package struct ProjectKey: Sendable {
    private static let prefix = "sealed:v1:"
    private let key: SymmetricKey

    init(_ key: SymmetricKey) {
        self.key = key
    }

    /// A new project's key.
    static func generate() -> SymmetricKey { SymmetricKey(size: .bits256) }

    /// What a wrapped data key is bound to.
    static func place(projectID: UUID) -> String { "project|\(projectID.lowercased)" }

    /// `sealed:v1:` and the base64 of nonce, ciphertext and tag (AES-256-GCM). It opens for this very version of this entry only.
    package func seal(_ text: String, environmentID: UUID, name: String, version: Int64) throws(StoreError) -> String {
        do {
            let place = Self.place(environmentID, name, version)
            let box = try AES.GCM.seal(Data(text.utf8), using: key, authenticating: place)
            // A random 96-bit nonce: safe for 2^32 values of a project.
            return Self.prefix + (box.combined ?? Data()).base64EncodedString()
        } catch {
            throw StoreError(.internalError, "a secret could not be sealed", underlying: "\(error)")
        }
    }

    /// - Throws: `sealed_value_unreadable` where the text is damaged, or was sealed for another place or under another key.
    package func open(_ sealed: String, environmentID: UUID, name: String, version: Int64) throws(StoreError) -> String {
        guard sealed.hasPrefix(Self.prefix), let data = Data(base64Encoded: String(sealed.dropFirst(Self.prefix.count))) else {
            throw Self.unreadable(environmentID, name, version, "no sealed text")
        }
        do {
            let place = Self.place(environmentID, name, version)
            let plain = try AES.GCM.open(try AES.GCM.SealedBox(combined: data), using: key, authenticating: place)
            return String(decoding: plain, as: UTF8.self)
        } catch {
            throw Self.unreadable(environmentID, name, version, "authentication failed")
        }
    }

    private static func place(_ environmentID: UUID, _ name: String, _ version: Int64) -> Data {
        Data("\(environmentID.lowercased)|\(name)|\(version)".utf8)
    }

    private static func unreadable(_ environmentID: UUID, _ name: String, _ version: Int64, _ why: String) -> StoreError {
        let place = "\(environmentID.lowercased) \(name) version \(version)"
        return StoreError(.sealedValueUnreadable, "a stored secret can't be opened; the log names it", underlying: "\(place): \(why)")
    }
}
