// Keyvane
// SPDX-License-Identifier: Apache-2.0

import CPQ
import Foundation
import Reactor

/// A connection URL taken apart, so that its hosts can be tried one by one, each with its own time limit and its name looked up off the loop:
/// libpq would do both, and block.
struct PostgresAddress: Sendable {
    /// Keywords and values for one attempt. It holds the password: never logged.
    struct Candidate: Sendable {
        let keywords: [(String, String)]
        /// For the log.
        let label: String
    }

    private struct Host {
        let name: String
        let address: String
        let port: String
    }

    /// Parameters that a server reports as `on` when it isn't one for us, or no longer: those of a standby, unless the URL takes any server.
    let unwantedStates: [String]
    private let common: [(String, String)]
    private let hosts: [Host]

    private static let perHost: Set<String> = ["host", "hostaddr", "port"]
    /// What we set where the URL doesn't: a dead peer is noticed within some 15 s, no Kerberos look-up delays a start, and a standby is no
    /// server for us, so that among several hosts the primary is found whichever it is at the time.
    private static let defaults = [
        ("application_name", "keyvane"), ("client_encoding", "UTF8"), ("gssencmode", "disable"), ("target_session_attrs", "read-write"),
        ("keepalives_idle", "5"), ("keepalives_interval", "3"), ("keepalives_count", "3"), ("tcp_user_timeout", "15000"),
    ]

    /// - Throws: `configuration_invalid`, without any part of the URL: libpq's own message quotes it, password included.
    init(parsing url: String) throws(StoreError) {
        var given: [String: String] = [:]
        guard let options = PQconninfoParse(url, nil) else {
            let form = "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
            throw StoreError(.configurationInvalid, "the PostgreSQL URL can't be read; write \(form)", field: "postgres")
        }
        var option = options
        while let keyword = option.pointee.keyword {
            if let value = option.pointee.val { given[String(cString: keyword)] = String(cString: value) }
            option += 1
        }
        PQconninfoFree(options)
        unwantedStates = try Self.unwantedStates(given["target_session_attrs"] ?? "read-write")
        let missing = Self.defaults.filter { given[$0.0] == nil }
        common = given.filter { !Self.perHost.contains($0.key) }.map { ($0.key, $0.value) } + missing

        let names = Self.list(given["host"])
        let addresses = Self.list(given["hostaddr"])
        let ports = Self.list(given["port"])
        let count = max(names.count, addresses.count, 1)
        guard ports.count <= 1 || ports.count == count, addresses.isEmpty || names.isEmpty || addresses.count == names.count else {
            throw StoreError(.configurationInvalid, "the PostgreSQL URL must give one port, or one for each host", field: "postgres")
        }
        hosts = (0..<count).map { index in
            Host(
                name: index < names.count ? names[index] : "",
                address: index < addresses.count ? addresses[index] : "",
                port: ports.count == count ? ports[index] : ports.first ?? ""
            )
        }
    }

    private static func unwantedStates(_ target: String) throws(StoreError) -> [String] {
        switch target {
        case "read-write": return ["in_hot_standby", "default_transaction_read_only"]
        case "primary": return ["in_hot_standby"]
        case "any": return []
        default:
            let remedy = "leave it out, or write read-write, primary or any"
            throw StoreError(.configurationInvalid, "target_session_attrs must allow writes: \(remedy)", field: "postgres")
        }
    }

    private static func list(_ text: String?) -> [String] {
        guard let text, !text.isEmpty else { return [] }
        return text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    }

    /// Every address to try, in order; a name that isn't found has none. `done` runs on the loop.
    func candidates(on loop: Loop, _ done: @escaping ([Candidate]) -> Void) {
        collect(hosts[...], [], on: loop, done)
    }

    private func collect(_ hosts: ArraySlice<Host>, _ found: [Candidate], on loop: Loop, _ done: @escaping ([Candidate]) -> Void) {
        guard let host = hosts.first else {
            done(found)
            return
        }
        let rest = hosts.dropFirst()
        let isPath = host.name.isEmpty || host.name.hasPrefix("/") || host.name.hasPrefix("@")
        if isPath || !host.address.isEmpty {
            collect(rest, found + [candidate(host, address: host.address)], on: loop, done)
            return
        }
        Resolver.resolve(host: host.name, port: UInt16(host.port) ?? 5432, on: loop) { result in
            switch result {
            case .success(let addresses):
                collect(rest, found + addresses.map { candidate(host, address: $0.host) }, on: loop, done)
            case .failure:
                collect(rest, found, on: loop, done)
            }
        }
    }

    private func candidate(_ host: Host, address: String) -> Candidate {
        var keywords = common
        if !host.name.isEmpty { keywords.append(("host", host.name)) }
        if !address.isEmpty { keywords.append(("hostaddr", address)) }
        if !host.port.isEmpty { keywords.append(("port", host.port)) }
        return Candidate(keywords: keywords, label: "\(host.name)\(address.isEmpty ? "" : " (\(address))")")
    }
}
