// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Encryption at rest: master keys wrap a data key per project, data keys seal values.
// Flows through: a secret's plaintext to `sealed:v1:…` on its way in, and back for those who may see it.
// Owner: the key ring belongs to the process and comes from its configuration; project keys are unwrapped once and cached.
// Must hold: no plaintext and no key reaches PostgreSQL, a log or an error; a value opens only in the place it was sealed for.

package import Crypto
import Foundation

/// The master keys: the first one wraps, all of them unwrap.
package struct KeyRing: Sendable {
    private let keys: [(id: String, key: SymmetricKey)]

    /// Reads `id:base64,id:base64`, each key 256 bits.
    /// - Throws: `configuration_invalid`, without any part of a key.
    package init(parsing text: String) throws(StoreError) {
        var keys: [(id: String, key: SymmetricKey)] = []
        for (index, part) in text.split(separator: ",", omittingEmptySubsequences: false).enumerated() {
            let fields = part.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
                .map { $0.trimmingCharacters(in: .whitespacesAndNewlines) }
            guard fields.count == 2, (try? InputRules.slug(fields[0], field: "id")) != nil else {
                throw Self.refusal(index, "is not written id:base64, with an id of lower-case letters, digits and hyphens")
            }
            guard let bytes = Data(base64Encoded: fields[1]), bytes.count == 32 else {
                throw Self.refusal(index, "is not the base64 of 32 bytes; 'keyvane keys generate' makes one")
            }
            guard !keys.contains(where: { $0.id == fields[0] }) else { throw Self.refusal(index, "has the id of an earlier one") }
            keys.append((fields[0], SymmetricKey(data: bytes)))
        }
        self.keys = keys
    }

    private static func refusal(_ index: Int, _ why: String) -> StoreError {
        StoreError(.configurationInvalid, "master key number \(index + 1) \(why)", field: "master-keys")
    }

    /// A fresh key in the form that `init(parsing:)` reads.
    package static func generateKey(id: String) throws(StoreError) -> String {
        try InputRules.slug(id, field: "id")
        return "\(id):\(SymmetricKey(size: .bits256).withUnsafeBytes { Data($0) }.base64EncodedString())"
    }

    package var firstID: String { keys[0].id }
    package var ids: [String] { keys.map(\.id) }

    /// A key for another purpose, made of the first master key. Both ends of a wire need the same ring.
    package func derivedKey(label: String) -> SymmetricKey {
        Self.derive(keys[0].key, label)
    }

    /// The same of every master key, the first one first: for checking what others made while keys are being rotated.
    package func derivedKeys(label: String) -> [SymmetricKey] {
        keys.map { Self.derive($0.key, label) }
    }

    private static func derive(_ key: SymmetricKey, _ label: String) -> SymmetricKey {
        HKDF<SHA256>.deriveKey(inputKeyMaterial: key, info: Data("keyvane \(label)".utf8), outputByteCount: 32)
    }

    /// Seals key material under the first master key: `wrapped:v1:<id>:<base64>`. `place` says what it belongs to.
    func wrap(_ material: SymmetricKey, place: String) throws(StoreError) -> String {
        do {
            let data = material.withUnsafeBytes { Data($0) }
            let box = try AES.GCM.seal(data, using: Self.derive(keys[0].key, "wrap"), authenticating: Data(place.utf8))
            return "wrapped:v1:\(keys[0].id):\((box.combined ?? Data()).base64EncodedString())"
        } catch {
            throw StoreError(.internalError, "a data key could not be wrapped", underlying: "\(error)")
        }
    }

    /// - Throws: `master_key_missing` or `master_key_wrong`, naming the key's id and the remedy.
    func unwrap(_ wrapped: String, place: String) throws(StoreError) -> SymmetricKey {
        let fields = wrapped.split(separator: ":", omittingEmptySubsequences: false)
        guard fields.count == 4, fields[0] == "wrapped", fields[1] == "v1", let data = Data(base64Encoded: String(fields[3])) else {
            throw StoreError(.sealedValueUnreadable, "a wrapped data key is damaged: restore it from a backup", underlying: place)
        }
        guard let key = keys.first(where: { $0.id == fields[2] })?.key else {
            throw missing([(String(fields[2]), nil)])
        }
        do {
            let box = try AES.GCM.SealedBox(combined: data)
            return SymmetricKey(data: try AES.GCM.open(box, using: Self.derive(key, "wrap"), authenticating: Data(place.utf8)))
        } catch {
            let remedy = "give the key that this database was set up with"
            throw StoreError(.masterKeyWrong, "master key '\(fields[2])' is not the one this database was encrypted with: \(remedy)")
        }
    }

    /// What to say where data keys are wrapped by master keys that are not in this ring; with the number of projects, where that is known.
    func missing(_ absent: [(id: String, projects: Int?)]) -> StoreError {
        let names = absent.map { absent in
            guard let count = absent.projects else { return "'\(absent.id)'" }
            return "'\(absent.id)' (\(count) \(count == 1 ? "project" : "projects"))"
        }
        let (noun, pronoun) = absent.count == 1 ? ("key", "it") : ("keys", "them")
        let have = ids.map { "'\($0)'" }.joined(separator: ", ")
        let remedy = "add \(pronoun) to the master keys again (present: \(have)); 'keyvane keys rotate' makes \(pronoun) superfluous"
        return StoreError(
            .masterKeyMissing,
            "the database still needs master \(noun) \(names.joined(separator: ", ")), not given here: \(remedy)"
        )
    }
}
