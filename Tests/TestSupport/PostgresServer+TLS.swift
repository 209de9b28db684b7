// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc

extension PostgresServer {
    /// From now on it also listens on a port of 127.0.0.1, where it takes nothing but TLS, a client's certificate of the authority, and the
    /// password of the user `keyvane`, who owns the database.
    ///
    /// - Returns: the port.
    package func serveTLS(_ certificates: TestCertificates, database: String, password: String) async throws -> UInt16 {
        try await sql("SET password_encryption = 'scram-sha-256'; CREATE ROLE keyvane LOGIN PASSWORD '\(password)'")
        try await sql("ALTER DATABASE \(database) OWNER TO keyvane")
        let (certificate, key) = (certificates.certificate(.server), certificates.key(.server))
        let files = [("server.crt", certificate), ("server.key", key), ("ca.crt", certificates.authority)]
        for (name, source) in files { try place(try String(contentsOfFile: source, encoding: .utf8), name) }
        let rules = """
            local all postgres trust
            hostssl \(database) keyvane 127.0.0.1/32 scram-sha-256 clientcert=verify-ca
            """
        try place("\(rules)\n", "pg_hba.conf")
        let port = try RedisProcess.freePort()
        let tls = "-c ssl=on -c ssl_cert_file=server.crt -c ssl_key_file=server.key -c ssl_ca_file=ca.crt"
        try await control([
            "-o", "-k \(host) -c listen_addresses=127.0.0.1 -c port=\(port) \(tls) -c fsync=off -c full_page_writes=off", "restart",
        ])
        return port
    }

    /// A file of the data folder; PostgreSQL reads a key only where nobody else can.
    private func place(_ text: String, _ name: String) throws {
        let path = "\(host)/data/\(name)"
        let folder = try FileManager.default.attributesOfItem(atPath: "\(host)/data")
        guard let user = folder[.ownerAccountID] as? NSNumber, let group = folder[.groupOwnerAccountID] as? NSNumber else {
            throw Failure(description: "the data folder is nobody's")
        }
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        guard chmod(path, 0o600) == 0, chown(path, user.uint32Value, group.uint32Value) == 0 else {
            throw Failure(description: "\(path) can't be given to PostgreSQL")
        }
    }
}
