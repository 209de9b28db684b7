// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Reactor
import Wire

/// `/v1/servers`: servers listed, added, changed and removed at run time. Made for one request.
struct ServersResource {
    private let desk: AdminDesk

    init(_ desk: AdminDesk) {
        self.desk = desk
    }

    func answer(_ request: AdminRequest, _ path: AdminSite.Path) -> AdminAnswer {
        do throws(Failure) {
            switch path {
            case .server(let pool, let name):
                return try one(request, pool, name)
            case .servers, .probe, .icon, .home, .metrics, .stats, .manager, .status, .reload:
                return request.method == .post ? try add(request) : .json(ServersDocument.bytes(desk.status()))
            }
        } catch {
            return error.answer
        }
    }

    /// Why nothing was done, as an answer.
    private struct Failure: Error {
        let answer: AdminAnswer
    }

    private func one(_ request: AdminRequest, _ pool: String, _ name: String) throws(Failure) -> AdminAnswer {
        let status = try find(pool, name)
        switch request.method {
        case .patch:
            let commands = try changes(request)
            try perform(commands, pool: pool, name)
            return .json(ServersDocument.bytes(try find(pool, name), pool: pool))
        case .delete:
            try perform([.remove], pool: pool, name)
            return .empty
        case .get, .head, .post, .put, .options, .trace, .connect, .other:
            return .json(ServersDocument.bytes(status, pool: pool))
        }
    }

    private func find(_ pool: String, _ name: String) throws(Failure) -> ServerStatus {
        let pools = desk.status()
        guard let status = pools.first(where: { $0.name == pool }) else {
            throw unknown("pool", pool, among: pools.map(\.name), code: .unknownPool)
        }
        guard let server = status.servers.first(where: { $0.name == name }) else {
            throw unknown("server", name, among: status.servers.map(\.name), code: .unknownServer)
        }
        return server
    }

    private func unknown(_ kind: String, _ name: String, among names: [String], code: BalancerError.Code) -> Failure {
        let known = names.isEmpty ? "there is none" : "there is \(names.joined(separator: ", "))"
        return Failure(answer: .problem(404, code: code.rawValue, "no \(kind) is called '\(name)'; \(known)"))
    }

    private func perform(_ commands: [ServerCommand], pool: String, _ server: String) throws(Failure) {
        do throws(BalancerError) {
            try desk.perform(commands, pool: pool, server: server)
        } catch {
            throw Failure(answer: .problem(422, code: error.code.rawValue, error.message))
        }
    }

    // MARK: Bodies

    private func members(_ request: AdminRequest, known: [String]) throws(Failure) -> [String: JSONBody] {
        guard request.contentType == "application/json" else {
            throw Failure(answer: .problem(415, code: "unsupported_media_type", "send a JSON object with Content-Type: application/json"))
        }
        guard case .object(let members)? = try? JSONDecoder().decode(JSONBody.self, from: Data(request.body)) else {
            throw Failure(answer: .problem(400, code: "malformed_json", "the body is not a JSON object"))
        }
        let strangers = members.keys.filter { !known.contains($0) }.sorted()
        guard strangers.isEmpty else {
            let detail = "the members here are \(known.joined(separator: ", "))"
            throw invalid(strangers.map { ("/\($0)", detail) })
        }
        return members
    }

    private func invalid(_ faults: [(pointer: String, detail: String)]) -> Failure {
        let detail = faults.map { "\($0.pointer.dropFirst()): \($0.detail)" }.joined(separator: "; ")
        return Failure(answer: .problem(422, code: "invalid", detail, faults.map { .init(pointer: $0.pointer, detail: $0.detail) }))
    }

    private func changes(_ request: AdminRequest) throws(Failure) -> [ServerCommand] {
        let members = try members(request, known: ["state", "weight", "maxconn", "route"])
        var commands: [ServerCommand] = []
        var faults: [(String, String)] = []
        if let value = members["weight"] {
            if case .integer(let weight) = value, (0...256).contains(weight) {
                commands.append(.weight(weight))
            } else {
                faults.append(("/weight", "a whole number from 0 to 256"))
            }
        }
        if let value = members["maxconn"] {
            if case .integer(let limit) = value, limit >= 0 {
                commands.append(.maxConnections(limit))
            } else {
                faults.append(("/maxconn", "a whole number, 0 is no limit"))
            }
        }
        switch members["route"] {
        case nil: break
        case .null: commands.append(.route(nil))
        case .string(let route) where NameRule.isValid(route): commands.append(.route(route))
        case .some: faults.append(("/route", "null or a text: \(NameRule.text)"))
        }
        if let value = members["state"] {
            if case .string(let text) = value, let state = AdministrativeState(rawValue: text) {
                commands.append(.state(state))
            } else {
                faults.append(("/state", "one of \(AdministrativeState.choices)"))
            }
        }
        guard faults.isEmpty else { throw invalid(faults) }
        return commands
    }

    private func add(_ request: AdminRequest) throws(Failure) -> AdminAnswer {
        let members = try members(request, known: ["pool", "name", "address", "weight", "maxconn", "route", "backup"])
        var faults: [(String, String)] = []
        let pool = text(members, "pool", &faults)
        let name = text(members, "name", &faults)
        let address = text(members, "address", &faults)
        guard faults.isEmpty else { throw invalid(faults) }
        let pools = desk.status()
        guard let known = pools.first(where: { $0.name == pool }) else {
            throw invalid([("/pool", "no pool is called '\(pool)'; there is \(pools.map(\.name).joined(separator: ", "))")])
        }
        guard !known.servers.contains(where: { $0.name == name }) else {
            throw Failure(
                answer: .problem(409, code: "exists", "pool '\(pool)' has a server '\(name)' already; PATCH it, or choose another name")
            )
        }
        guard NameRule.isValid(name) else { throw invalid([("/name", NameRule.text)]) }
        guard let endpoint = Self.endpoint(address) else {
            throw invalid([("/address", "'\(address)' is no server's address: write HOST:PORT, [IPV6]:PORT or unix:/PATH")])
        }
        var server = ServerConfiguration(name: name, address: endpoint)
        switch members["weight"] {
        case nil: break
        case .integer(let weight) where (0...256).contains(weight): server.weight = weight
        case .some: faults.append(("/weight", "a whole number from 0 to 256"))
        }
        switch members["maxconn"] {
        case nil: break
        case .integer(let limit) where limit >= 0: server.maxConnections = limit
        case .some: faults.append(("/maxconn", "a whole number, 0 is no limit"))
        }
        switch members["route"] {
        case nil, .null: break
        case .string(let route) where NameRule.isValid(route): server.route = route
        case .some: faults.append(("/route", "null or a text: \(NameRule.text)"))
        }
        switch members["backup"] {
        case nil: break
        case .bool(let isBackup): server.isBackup = isBackup
        case .some: faults.append(("/backup", "true or false"))
        }
        guard faults.isEmpty else { throw invalid(faults) }
        try perform([.add(server)], pool: pool, name)
        return AdminAnswer.json(ServersDocument.bytes(try find(pool, name), pool: pool), status: 201)
            .with("Location", "/v1/servers/\(pool)/\(name)")
    }

    private func text(_ members: [String: JSONBody], _ name: String, _ faults: inout [(String, String)]) -> String {
        if case .string(let text)? = members[name], !text.isEmpty { return text }
        faults.append(("/\(name)", "is required: a text"))
        return ""
    }

    private static func endpoint(_ text: String) -> Endpoint? {
        guard let endpoint = try? Endpoint(parsing: text) else { return nil }
        switch endpoint.kind {
        case .tcp(let host, let port): return host.isEmpty || port == 0 ? nil : endpoint
        case .unix(let path): return path.hasPrefix("/") ? endpoint : nil
        }
    }
}

/// A JSON value with its kind kept: `1` is no `true`.
enum JSONBody: Decodable {
    case null
    case bool(Bool)
    case integer(Int)
    case number(Double)
    case string(String)
    case array([JSONBody])
    case object([String: JSONBody])

    init(from decoder: any Decoder) throws {
        let value = try decoder.singleValueContainer()
        if value.decodeNil() {
            self = .null
        } else if let bool = try? value.decode(Bool.self) {
            self = .bool(bool)
        } else if let integer = try? value.decode(Int.self) {
            self = .integer(integer)
        } else if let number = try? value.decode(Double.self) {
            self = .number(number)
        } else if let string = try? value.decode(String.self) {
            self = .string(string)
        } else if let array = try? value.decode([JSONBody].self) {
            self = .array(array)
        } else {
            self = .object(try value.decode([String: JSONBody].self))
        }
    }
}
