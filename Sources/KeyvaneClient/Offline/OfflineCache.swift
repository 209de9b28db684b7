// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Crypto
import Foundation

/// A file with the newest configuration of a watch, so that an application can start while the service is away.
///
/// Encrypted with AES-256-GCM under a key made from the token (HKDF-SHA256), mode 0600, replaced as a whole. Another token, another environment, other
/// names or a damaged file: it is as if there were none.
public struct OfflineCache: Sendable {
    /// Where it is.
    public let path: String

    /// Makes a cache; nothing is read or written yet.
    public init(path: String) {
        self.path = path
    }
}

/// A cache for one watch, as which its content counts.
struct BoundCache: Sendable {
    private static let magic = Data("keyvane offline cache 1\n".utf8)

    private let path: String
    private let key: SymmetricKey
    private let context: Data

    init(_ cache: OfflineCache, token: String, environment: String, names: [String]) {
        path = cache.path
        context = Data("\(environment)\n\(names.joined(separator: ","))".utf8)
        key = HKDF<SHA256>.deriveKey(
            inputKeyMaterial: SymmetricKey(data: Data(token.utf8)),
            salt: Self.magic,
            info: context,
            outputByteCount: 32
        )
    }

    /// nil where there is nothing that this watch could use.
    func load() -> EnvironmentConfiguration? {
        guard let content = FileManager.default.contents(atPath: path), content.starts(with: Self.magic) else { return nil }
        do {
            let box = try AES.GCM.SealedBox(combined: content.dropFirst(Self.magic.count))
            return try JSONDecoder().decode(EnvironmentConfiguration.self, from: AES.GCM.open(box, using: key, authenticating: context))
        } catch {
            // Of another token, another watch, or damaged: the service has the truth.
            return nil
        }
    }

    /// A full disk must not take the configuration away from an application that has it: the next change tries again.
    func save(_ configuration: EnvironmentConfiguration) {
        let temporary = "\(path).\(ProcessInfo.processInfo.processIdentifier).new"
        guard let plain = try? JSONEncoder().encode(configuration),
            let sealed = try? AES.GCM.seal(plain, using: key, authenticating: context).combined
        else { return }
        let folder = URL(fileURLWithPath: path).deletingLastPathComponent()
        try? FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        unlink(temporary)
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return }
        let file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        do {
            try file.write(contentsOf: Self.magic + sealed)
            guard fsync(descriptor) == 0, rename(temporary, path) == 0 else { throw POSIXError(.EIO) }
        } catch {
            unlink(temporary)
        }
    }
}
