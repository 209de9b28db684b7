// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Reactor

/// What `keyvane dev` keeps between runs: databases and the secrets that open them. Owned by one dev at a time (a lock file).
struct DataFolder: ~Copyable {
    /// Secrets made at the first start; written with mode 0600.
    struct Secrets: Codable, Sendable {
        let masterKeys: String
        let rootToken: String
        let stickyKeys: String
        let postgresPassword: String
        let redisPassword: String
    }

    let path: String
    let secrets: Secrets
    /// Holds the lock; the kernel drops it with the process, however that ends.
    private let lock: Descriptor

    /// - Throws: `SettingsError` where the folder can't be used or another dev runs on it.
    init(path: String) throws {
        do {
            try FileManager.default.createDirectory(
                atPath: path,
                withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o700]
            )
        } catch {
            throw SettingsError("the data folder \(path) can't be made: \(error.localizedDescription). Choose another with --data.")
        }
        let number = open("\(path)/lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard number >= 0 else { throw SettingsError("the data folder \(path) can't be written to. Choose another with --data.") }
        let held = Descriptor(owning: number)
        guard flock(number, LOCK_EX | LOCK_NB) == 0 else {
            throw SettingsError("another `keyvane dev` runs on \(path). End it, or choose another folder with --data.")
        }
        let secrets = try Self.secrets(in: path)
        self.path = path
        self.secrets = secrets
        lock = held
    }

    /// Per user and outside any checkout (XDG base directory specification).
    static func standardPath(environment: [String: String]) -> String {
        if let data = environment["XDG_DATA_HOME"], data.hasPrefix("/") { return "\(data)/keyvane/dev" }
        return "\(NSHomeDirectory())/.local/share/keyvane/dev"
    }

    private static func secrets(in path: String) throws -> Secrets {
        let file = "\(path)/secrets.json"
        if let data = FileManager.default.contents(atPath: file) {
            do {
                return try JSONDecoder().decode(Secrets.self, from: data)
            } catch {
                throw SettingsError(
                    "\(file) can't be read. Without it the data folder can't be opened: restore the file, or delete the folder."
                )
            }
        }
        let secrets = Secrets(
            masterKeys: "dev:\(Data(random(32)).base64EncodedString())",
            rootToken: "kv_devroot0_\(text(32))",
            stickyKeys: Data(random(32)).base64EncodedString(),
            postgresPassword: text(24),
            redisPassword: text(24)
        )
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        try write(encoder.encode(secrets), to: file, mode: 0o600)
        return secrets
    }

    private static func random(_ count: Int) -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    }

    /// Random bytes as base64url, which no URL and no shell has to quote.
    private static func text(_ count: Int) -> String {
        Data(random(count)).base64EncodedString()
            .replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }

    /// Replaces a file in one step, so that a reader sees the old or the new one, whole.
    static func write(_ data: Data, to path: String, mode: mode_t) throws {
        let draft = "\(path).\(getpid()).new"
        let number = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)
        guard number >= 0 else { throw RunError("\(path) can't be written: \(String(cString: strerror(errno)))") }
        let file = FileHandle(fileDescriptor: number, closeOnDealloc: true)
        try file.write(contentsOf: data)
        try file.close()
        guard rename(draft, path) == 0 else { throw RunError("\(path) can't be written: \(String(cString: strerror(errno)))") }
    }
}
