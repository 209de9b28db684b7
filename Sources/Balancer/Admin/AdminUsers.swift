// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Crypto
import Foundation

/// The users of the admin interface with their passwords, which are kept as MACs under a key of this process. Immutable.
struct AdminUsers: Sendable {
    private struct Entry {
        let name: String
        let role: AdminConfiguration.Role
        let code: HashedAuthenticationCode<SHA256>
    }

    private let entries: [Entry]
    private let key: SymmetricKey
    /// Compared where no user has the name, so that the answer takes as long.
    private let nobody: HashedAuthenticationCode<SHA256>

    init(_ users: [AdminConfiguration.User]) throws(BalancerError) {
        let key = SymmetricKey(size: .bits256)
        var entries: [Entry] = []
        for user in users {
            let password = try Self.password(of: user)
            entries.append(
                Entry(name: user.name, role: user.role, code: HMAC<SHA256>.authenticationCode(for: Array(password.utf8), using: key))
            )
        }
        self.entries = entries
        self.key = key
        nobody = HMAC<SHA256>.authenticationCode(for: SymmetricKey(size: .bits256).withUnsafeBytes { Array($0) }, using: key)
    }

    var isEmpty: Bool { entries.isEmpty }

    private static func password(of user: AdminConfiguration.User) throws(BalancerError) -> String {
        let place = "admin.users.\(user.name).password_file"
        guard let data = FileManager.default.contents(atPath: user.passwordFile), let text = String(data: data, encoding: .utf8) else {
            throw BalancerError(.configurationInvalid, "\(place): \(user.passwordFile) can't be read")
        }
        let line = text.prefix { !$0.isNewline }
        guard !line.isEmpty else {
            throw BalancerError(
                .configurationInvalid,
                "\(place): the first line of \(user.passwordFile) is empty; write the password there"
            )
        }
        return String(line)
    }

    /// Nil for a wrong name or password.
    func visitor(showing credentials: BasicCredentials) -> AdminVisitor? {
        let known = entries.first { $0.name == credentials.name }
        // MACs of equal length, compared in constant time; nothing tells how much of a password was right.
        let isRight = HMAC<SHA256>.isValidAuthenticationCode(
            known?.code ?? nobody,
            authenticating: credentials.password,
            using: key
        )
        guard isRight, let known else { return nil }
        return AdminVisitor(name: known.name, role: known.role)
    }
}

/// What `Authorization: Basic …` says (RFC 7617).
struct BasicCredentials {
    let name: String
    let password: [UInt8]

    /// Nil for another scheme, and for what can't be read.
    init?(_ authorization: String) {
        let parts = authorization.split(separator: " ", maxSplits: 1)
        guard parts.count == 2, parts[0].lowercased() == "basic",
            let bytes = Base64Text.decode(Array(parts[1].utf8).span), let colon = bytes.firstIndex(of: 0x3A)
        else { return nil }
        name = String(decoding: bytes[..<colon], as: UTF8.self)
        password = Array(bytes[(colon + 1)...])
    }
}

/// Who asks.
struct AdminVisitor: Equatable {
    let name: String
    let role: AdminConfiguration.Role

    /// Without users, whoever can connect.
    static let local = AdminVisitor(name: "", role: .operator)
}
