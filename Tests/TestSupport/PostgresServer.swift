// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc

/// A private PostgreSQL in a folder of its own, reached by its Unix socket.
///
/// A shell holds it: it ends the database and removes the folder when its standard input closes, which the kernel does for us however
/// the test process ends.
package final class PostgresServer: Sendable {
    private let directory: String
    private let binaries: String
    /// Runs a command as a user that PostgreSQL accepts: it refuses root.
    private let unprivileged: [String]
    /// The shell's standard input and its other end, both close-on-exec; nil for a standby.
    private let pipe: (input: Int32, lifeline: Int32)?
    /// The primary of a standby, whose shell ends both.
    private let primary: PostgresServer?

    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    private static let script = """
        trap '' INT TERM HUP
        directory=$1; binaries=$2; shift 2
        cd "$directory"
        "$@" "$binaries/initdb" -D "$directory/data" -U postgres -A trust -E UTF8 --locale=C --no-sync >"$directory/log" 2>&1 &&
        "$@" "$binaries/pg_ctl" -D "$directory/data" -l "$directory/server.log" -t 120 -w -s -o \
            "-k $directory -c listen_addresses= -c fsync=off -c full_page_writes=off -c max_connections=600" start >>"$directory/log" 2>&1
        if [ $? -eq 0 ]; then echo ready; else tail -n 5 "$directory"/*log; echo failed; fi
        cat >/dev/null
        for data in "$directory"/data "$directory"/standby/data; do
            if [ -f "$data/postmaster.pid" ]; then "$@" "$binaries/pg_ctl" -D "$data" -m immediate -w -s stop >/dev/null 2>&1; fi
        done
        rm -rf "$directory"
        """

    package static func start() async throws -> PostgresServer {
        let server = try PostgresServer()
        try await server.launch()
        return server
    }

    private init() throws {
        guard let binaries = Self.findBinaries() else {
            throw Failure(description: "no PostgreSQL found: install it (apt-get install postgresql)")
        }
        self.binaries = binaries
        var template = Array("/tmp/keyvane-postgres-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Failure(description: "no folder in /tmp: \(String(cString: strerror(errno)))") }
        directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        if geteuid() == 0, let user = getpwnam("postgres") {
            unprivileged = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
            guard chown(directory, user.pointee.pw_uid, user.pointee.pw_gid) == 0 else {
                throw Failure(description: "the folder can't be given to the user postgres")
            }
        } else {
            unprivileged = ["env"]
        }
        let ends = try SpawnedCommand.pipe()
        pipe = (ends.reading, ends.writing)
        primary = nil
    }

    private init(standbyOf primary: PostgresServer) {
        directory = "\(primary.directory)/standby"
        binaries = primary.binaries
        unprivileged = primary.unprivileged
        pipe = nil
        self.primary = primary
    }

    deinit {
        if let pipe { close(pipe.lifeline) }
    }

    private func launch() async throws {
        let shell = try SpawnedCommand(["/bin/sh", "-c", Self.script, "postgres", directory, binaries] + unprivileged, input: pipe?.input)
        if let pipe { close(pipe.input) }
        let answer = await shell.output { $0.hasSuffix("ready\n") || $0.hasSuffix("failed\n") }
        guard answer.hasSuffix("ready\n") else { throw Failure(description: "PostgreSQL didn't start: \(answer)") }
    }

    /// The connection URL of a database of this server.
    package func url(database: String) -> String {
        "postgresql://postgres@/\(database)?host=\(directory)"
    }

    /// Where its socket is: a host in the sense of libpq.
    package var host: String { directory }

    /// Where it listens.
    package var socketPath: String { "\(directory)/.s.PGSQL.5432" }

    /// Runs SQL as superuser with psql, apart from everything under test; answers with unaligned rows, one a line.
    @discardableResult
    package func sql(_ statements: String, database: String = "postgres") async throws -> [String] {
        let connect = ["-h", directory, "-U", "postgres", "-d", database]
        let text = try await SpawnedCommand.run(
            ["\(binaries)/psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"] + connect + ["-c", statements]
        )
        return text.split(separator: "\n").map(String.init)
    }

    // MARK: Failover

    /// A second server that follows this one. From then on a commit here is answered when it is there as well, so a promotion loses nothing
    /// that was answered.
    package func startStandby() async throws -> PostgresServer {
        let standby = PostgresServer(standbyOf: self)
        let copy = ["-h", directory, "-U", "postgres", "-D", "\(standby.directory)/data", "-X", "stream", "-c", "fast", "-R", "--no-sync"]
        try await SpawnedCommand.run(unprivileged + ["\(binaries)/pg_basebackup"] + copy)
        let options = "-k \(standby.directory) -c listen_addresses= -c fsync=off -c full_page_writes=off -c max_connections=600"
        try await standby.control(["-t", "120", "-o", options, "start"])
        try await sql("ALTER SYSTEM SET synchronous_standby_names = '*'")
        try await sql("SELECT pg_reload_conf()")
        _ = try await eventually("the standby following") { [self] in
            try await sql("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'").isEmpty ? nil : true
        }
        return standby
    }

    /// Makes a standby the primary.
    package func promote() async throws {
        try await control(["promote"])
    }

    /// Sends a signal (`KILL`, `STOP`, `CONT`) to the server and every process of its own: the end of a machine, or its sleep.
    package func signal(_ name: String) async throws {
        let script = #"pid=$(head -n 1 "$1/postmaster.pid"); kill -"$2" $pid $(cat /proc/$pid/task/$pid/children)"#
        try await SpawnedCommand.run(["/bin/sh", "-c", script, "signal", "\(directory)/data", name])
    }

    /// The whole database as SQL text.
    package func dump(database: String) async throws -> String {
        try await SpawnedCommand.run(["\(binaries)/pg_dump", "-h", directory, "-U", "postgres", "--inserts", database])
    }

    /// Ends the server as a crash does where `mode` is `immediate`; `fast` ends it in order.
    package func stop(mode: String = "fast") async throws {
        try await control(["-m", mode, "stop"])
    }

    /// Starts it again, with the options of the first time.
    package func startAgain() async throws {
        try await control(["restart"])
    }

    // MARK: Backups

    private var archive: String { "\(directory)/archive" }
    private var copy: String { "\(directory)/copy" }

    /// Keeps a dump of a database, by `pg_dump`.
    package func backUp(database: String) async throws {
        try await SpawnedCommand.run(
            ["\(binaries)/pg_dump", "-h", directory, "-U", "postgres", "--format=custom", "--file=\(archive)", database]
        )
    }

    /// Puts the dump in the place of what the database has, in one transaction, whoever is connected.
    package func restore(database: String) async throws {
        let how = ["--clean", "--if-exists", "--single-transaction", "--exit-on-error"]
        try await SpawnedCommand.run(["\(binaries)/pg_restore", "-h", directory, "-U", "postgres"] + how + ["-d", database, archive])
    }

    /// Keeps a copy of the data folder, for which the server stops a moment.
    package func copyData() async throws {
        try await stop()
        try await SpawnedCommand.run(["cp", "-a", "\(directory)/data", copy])
        try await startAgain()
    }

    /// Stops the server, and starts it again with the data folder that was copied.
    package func restoreData() async throws {
        try await stop()
        try await SpawnedCommand.run(["rm", "-rf", "\(directory)/data"])
        try await SpawnedCommand.run(["cp", "-a", copy, "\(directory)/data"])
        try await startAgain()
    }

    func control(_ arguments: [String]) async throws {
        // pg_ctl's restart reads the options of the last start from the data folder.
        let command =
            unprivileged + ["\(binaries)/pg_ctl", "-D", "\(directory)/data", "-l", "\(directory)/server.log", "-w", "-s"] + arguments
        try await SpawnedCommand.run(command)
    }

    private static func findBinaries() -> String? {
        let root = "/usr/lib/postgresql"
        let versions = ((try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []).sorted { (Int($0) ?? 0) > (Int($1) ?? 0) }
        let folders = versions.map { "\(root)/\($0)/bin" } + ["/usr/local/bin", "/usr/bin", "/opt/homebrew/bin"]
        return folders.first { FileManager.default.isExecutableFile(atPath: "\($0)/initdb") }
    }
}
