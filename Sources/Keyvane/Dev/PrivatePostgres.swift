// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Reactor

/// A PostgreSQL of dev's own: initialised at the first start, reachable on loopback with a password.
///
/// PostgreSQL refuses to run as root. Started by root it runs as the user `postgres`, which Debian's package makes, and its files lie where
/// that user can reach them whatever the modes above the data folder.
struct PrivatePostgres: Sendable {
    let port: UInt16
    private let folder: String
    private let binaries: String
    private let password: String
    private let asPostgres: Bool
    private let environment: [String: String]

    private static let rootFolder = "/var/lib/keyvane-dev"

    var url: String { "postgres://keyvane:\(password)@127.0.0.1:\(port)/keyvane" }

    /// Makes the data folder if there is none yet.
    init(data: String, password: String, port: UInt16, environment: [String: String], on loop: Loop) async throws {
        self.environment = environment
        self.port = port
        self.password = password
        asPostgres = geteuid() == 0
        binaries = try Self.findBinaries()
        folder = asPostgres ? "\(Self.rootFolder)/\(Self.fingerprint(of: "\(data)\n\(password)"))/postgres" : "\(data)/postgres"
        if !FileManager.default.fileExists(atPath: "\(folder)/PG_VERSION") { try await initialise(on: loop) }
        // So that whoever looks into the data folder, or deletes it, finds all of it.
        let link = "\(data)/postgres"
        if asPostgres, (try? FileManager.default.destinationOfSymbolicLink(atPath: link)) != folder {
            try? FileManager.default.removeItem(atPath: link)
            try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: folder)
        }
    }

    /// The server in the foreground; SIGINT is its fast shutdown.
    func plan() -> ProcessPlan {
        let server = [
            "\(binaries)/postgres", "-D", folder, "-p", String(port), "-h", "127.0.0.1", "-k", "",
            // Its ordinary messages are of no use to a developer; its failures are.
            "-c", "log_min_messages=fatal", "-c", "max_connections=200",
        ]
        return ProcessPlan(name: "postgres", arguments: demoted(server), environment: environment, stopSignal: SIGINT, orphanSignal: "INT")
    }

    /// Works on a draft and renames it at the end: what has its name is whole, however an earlier start was cut off.
    private func initialise(on loop: Loop) async throws {
        let draft = "\(folder).new"
        try? FileManager.default.removeItem(atPath: draft)
        try FileManager.default.createDirectory(atPath: draft, withIntermediateDirectories: true)
        let passwordFile = "\(folder).password"
        try DataFolder.write(Data(password.utf8), to: passwordFile, mode: 0o600)
        defer { unlink(passwordFile) }
        if asPostgres {
            guard let user = getpwnam("postgres")?.pointee else {
                throw RunError("PostgreSQL does not run as root, and there is no user `postgres`: apt-get install postgresql")
            }
            for path in [draft, passwordFile] { chown(path, user.pw_uid, user.pw_gid) }
            // Whatever our umask: that user must get through.
            for path in [Self.rootFolder, URL(fileURLWithPath: folder).deletingLastPathComponent().path] { chmod(path, 0o755) }
        }
        chmod(draft, 0o700)
        let cluster = [
            "\(binaries)/initdb", "-D", draft, "-U", "keyvane", "--auth=scram-sha-256", "--pwfile=\(passwordFile)", "--encoding=UTF8",
            "--no-locale", "--no-instructions",
        ]
        try await run("cd / && exec \"$@\"", cluster, on: loop)
        // The database that the URL names is made by PostgreSQL itself at its first, single-user start.
        let database = ["\(binaries)/postgres", "--single", "-D", draft, "postgres"]
        try await run("cd / && echo 'CREATE DATABASE keyvane;' | \"$@\"", database, on: loop)
        guard rename(draft, folder) == 0 else { throw RunError("\(folder) can't be made: \(String(cString: strerror(errno)))") }
    }

    private func demoted(_ command: [String]) -> [String] {
        // The inner pdeathsig: changing the user clears the one that the process group has set.
        asPostgres
            ? ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--pdeathsig", "INT", "--"] + command
            : ["setpriv", "--pdeathsig", "INT", "--"] + command
    }

    /// Runs a shell line as PostgreSQL's user; `$@` is `words`. What it prints is for the error only.
    private func run(_ line: String, _ words: [String], on loop: Loop) async throws {
        let output = "\(folder).log"
        defer { unlink(output) }
        let command = demoted(["sh", "-c", line, "sh"] + words)
        let (exits, exited) = AsyncStream.makeStream(of: ChildExit.self)
        try await loop.run {
            let shell = ["sh", "-c", "exec \"$@\" >\"$0\" 2>&1 </dev/null", output]
            _ = try ChildProcess.spawn(shell + command, environment: environment, on: loop) { exited.yield($0) }
        }
        for await exit in exits {
            guard exit != .code(0) else { return }
            let printed = (try? String(contentsOfFile: output, encoding: .utf8)) ?? ""
            throw RunError("the private PostgreSQL can't be set up in \(folder) (\(exit)):\n\(printed)")
        }
    }

    /// Debian keeps them out of PATH, one folder a version.
    private static func findBinaries() throws -> String {
        let debian = "/usr/lib/postgresql"
        let versions = (try? FileManager.default.contentsOfDirectory(atPath: debian)) ?? []
        let folders = versions.compactMap(Int.init).sorted(by: >).map { "\(debian)/\($0)/bin" } + ["/usr/local/bin", "/usr/bin"]
        guard let found = folders.first(where: { FileManager.default.isExecutableFile(atPath: "\($0)/initdb") }) else {
            throw RunError("no PostgreSQL server found. Install it (apt-get install postgresql) or use your own with --postgres URL.")
        }
        return found
    }

    /// FNV-1a of the data folder's path and password: two folders must not share a database, nor may one that was deleted and made again find
    /// the old one's.
    private static func fingerprint(of text: String) -> String {
        let hash = text.utf8.reduce(UInt64(0xcbf2_9ce4_8422_2325)) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        return String(hash, radix: 16)
    }
}
