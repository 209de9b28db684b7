// Keyvane
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import AsyncHTTPClient
import Foundation
import NIOCore
import NIOSSL

/// Which balancer, and who asks.
struct AdminOptions: ParsableArguments {
    @Option(help: "The balancer's admin listener: a URL or HOST:PORT.") var admin: String?
    @Option(help: "The user, where the listener has users; the password is in KEYVANE_ADMIN_PASSWORD.") var user: String?
    @Option(help: "PEM file of the authority that signed the listener's certificate.") var adminCa: String?

    private static let address = Setting("admin", .text, fallback: "127.0.0.1:9100", "the balancer's admin listener")
    private static let user = Setting("adminUser", .text, "the user of the admin listener")
    private static let password = Setting("adminPassword", .text, isSecret: true, "the user's password")
    private static let authority = Setting("adminCa", .file, "the authority of its certificate")

    /// Lends a client for as long as the body runs.
    func withClient<Value: Sendable>(_ body: (AdminClient) async throws -> Value) async throws -> Value {
        let settings = try Settings(
            flags: [Self.address: admin, Self.user: user, Self.authority: adminCa].compactMapValues { $0 },
            environment: ProcessInfo.processInfo.environment,
            file: nil
        )
        let base = try Self.url(try settings.required(Self.address))
        var configuration = HTTPClient.Configuration(redirectConfiguration: .disallow)
        configuration.timeout = .init(connect: .seconds(5), read: .seconds(30))
        if let file = settings.text(Self.authority) {
            var tls = TLSConfiguration.makeClientConfiguration()
            do {
                tls.trustRoots = .certificates(try NIOSSLCertificate.fromPEMFile(file))
            } catch {
                throw SettingsError(Self.authority, "'\(file)' can't be read as a PEM file of certificates")
            }
            configuration.tlsConfiguration = tls
        }
        var authorization: String?
        if let name = settings.text(Self.user) {
            guard let password = settings.text(Self.password) else {
                throw SettingsError(Self.password, "is required for the user '\(name)'")
            }
            authorization = "Basic \(Data("\(name):\(password)".utf8).base64EncodedString())"
        }
        let http = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        do {
            let value = try await body(AdminClient(base: base, authorization: authorization, http: http))
            try await http.shutdown()
            return value
        } catch {
            try? await http.shutdown()
            throw error
        }
    }

    /// Without a slash at its end. The balancer's own setting has no scheme.
    private static func url(_ text: String) throws -> String {
        let full = text.contains("://") ? text : "http://\(text.hasPrefix(":") ? "127.0.0.1\(text)" : text)"
        guard let url = URL(string: full), let scheme = url.scheme, scheme == "http" || scheme == "https", url.host?.isEmpty == false,
            url.user == nil
        else {
            throw SettingsError(address, "'\(text)' is no address: write http://HOST:PORT, https://HOST:PORT or HOST:PORT")
        }
        return full.hasSuffix("/") ? String(full.dropLast()) : full
    }
}
