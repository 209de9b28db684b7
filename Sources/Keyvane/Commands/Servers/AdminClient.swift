// Keyvane
// SPDX-License-Identifier: Apache-2.0

import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1
import NIOSSL

/// The admin listener's REST, as far as the commands need it. Its failures are `RunError`s that say what to do.
struct AdminClient: Sendable {
    /// What is to change; nil stays.
    struct Change: Encodable {
        var state: String?
        var weight: Int?
    }

    private struct Listing: Decodable {
        let items: [BalancedServer]
    }

    private struct Problem: Decodable {
        let detail: String
    }

    private let base: String
    private let authorization: String?
    private let http: HTTPClient

    init(base: String, authorization: String?, http: HTTPClient) {
        self.base = base
        self.authorization = authorization
        self.http = http
    }

    func servers() async throws -> [BalancedServer] {
        try await ask(.GET, "/v1/servers", as: Listing.self).items
    }

    /// The same one, as it is now.
    func server(_ server: BalancedServer) async throws -> BalancedServer {
        try await ask(.GET, "/v1/servers/\(server.fullName)", as: BalancedServer.self)
    }

    func change(_ name: String, _ change: Change) async throws -> BalancedServer {
        let server = try BalancedServer.find(name, among: try await servers())
        return try await ask(.PATCH, "/v1/servers/\(server.fullName)", body: try JSONEncoder().encode(change), as: BalancedServer.self)
    }

    private func unreachable(because error: any Error) -> RunError {
        // What the TLS library says of it names its own source files.
        guard !(error is NIOSSLExtraError), !"\(error)".contains("CERTIFICATE_VERIFY_FAILED") else {
            return RunError(
                "the certificate of \(base) is not valid for that name, or by no authority that is known here: give its file with --admin-ca"
            )
        }
        let secure = base.hasPrefix("https:") ? "" : ", https:// where it has TLS"
        return RunError(
            "no balancer answers at \(base): \(error). Is it running, and is --admin (KEYVANE_ADMIN) its admin listener\(secure)?"
        )
    }

    private func ask<Answer: Decodable>(
        _ method: HTTPMethod,
        _ path: String,
        body: Data? = nil,
        as type: Answer.Type
    ) async throws -> Answer {
        var request = HTTPClientRequest(url: base + path)
        request.method = method
        if let authorization { request.headers.add(name: "Authorization", value: authorization) }
        if let body {
            request.headers.add(name: "Content-Type", value: "application/json")
            request.body = .bytes(ByteBuffer(bytes: body))
        }
        let status: HTTPResponseStatus
        let bytes: Data
        do {
            let response = try await http.execute(request, timeout: .seconds(30))
            status = response.status
            bytes = Data((try await response.body.collect(upTo: 16 * 1024 * 1024)).readableBytesView)
        } catch {
            throw unreachable(because: error)
        }
        guard status.code < 300 else {
            let detail = (try? JSONDecoder().decode(Problem.self, from: bytes))?.detail ?? status.reasonPhrase
            let hint = status == .unauthorized ? " Give --user and KEYVANE_ADMIN_PASSWORD." : ""
            throw RunError("\(base) answered \(status.code): \(detail).\(hint)")
        }
        do {
            return try JSONDecoder().decode(Answer.self, from: bytes)
        } catch {
            throw RunError("\(base) is no balancer's admin listener: its answer to \(path) has another form")
        }
    }
}
