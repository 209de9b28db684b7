// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Reactor
import Store

extension Settings {
    /// Everything that is wrong with a role's settings, the files that they name among it. Nothing is connected to.
    package func faults(of role: RoleKind) -> [SettingsError] {
        var faults: [SettingsError] = []
        for setting in Setting.all where setting.roles.contains(role) {
            if let problem = text(setting).flatMap({ setting.kind.problem(with: $0) }) { faults.append(SettingsError(setting, problem)) }
        }
        guard role != .balancer else { return faults }
        func check(_ body: () throws -> Void) {
            do { try body() } catch let error as SettingsError {
                // What follows from a fault is no news.
                if !faults.contains(where: { $0.setting == error.setting }) { faults.append(error) }
            } catch {
                faults.append(SettingsError("\(error)"))
            }
        }
        check { _ = try required(.postgres) }
        check { try checkKeys() }
        check { try checkTLS() }
        if role == .api { check { try checkPort() } }
        if role == .gateway { check { _ = try count(.maximumConnections, atMost: Role.connectionRoom) } }
        return faults
    }

    /// The same, as an error.
    func check(for role: RoleKind) throws(SettingsFaults) {
        let faults = faults(of: role)
        guard faults.isEmpty else { throw SettingsFaults(faults) }
    }

    private func checkKeys() throws {
        do {
            _ = try KeyRing(parsing: masterKeys())
        } catch let error as StoreError {
            throw SettingsError(text(.masterKeys) == nil ? .masterKeysFile : .masterKeys, error.message)
        }
    }

    /// Readable, PEM, and key and certificate of each other.
    private func checkTLS() throws {
        guard let files = try serverTLS() else { return }
        var options = TLSServerOptions(certificates: [.init(certificate: files.certificate, key: files.key)])
        options.clientAuthorities = files.clientAuthorities
        do {
            _ = try TLSServerIdentity(options)
        } catch {
            throw SettingsError(.tlsCertificate, error.message)
        }
    }

    private func checkPort() throws {
        guard let listen = text(.listen) else { return }
        guard case .tcp? = try? Endpoint(parsing: listen).kind else {
            throw SettingsError(.listen, "an API listens on HOST:PORT, not on \(listen)")
        }
    }
}
