// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Reactor

/// A file that a configuration names.
struct ReferencedFile: Sendable, Hashable {
    enum Use: Sendable, Hashable {
        /// A certificate with its key's file.
        case certificate(key: String)
        case authorities
        /// The first line counts. Its path isn't told: somebody may have written the secret itself.
        case secretLine
        case page
        case stickyKeys
    }

    let key: String
    let path: String
    let use: Use

    static let maximumBytes = 1 << 20

    /// What is wrong with it; nil where it can be used.
    var problem: String? {
        do throws(FileContent.Failure) {
            switch use {
            case .certificate(let key):
                return Self.refusal { () throws(ReactorError) in try TLSContext(certificate: path, key: key) }.map { "\(path): \($0)" }
            case .authorities:
                return Self.refusal { () throws(ReactorError) in try TLSContext(authorities: path) }.map { "\(path): \($0)" }
            case .secretLine:
                let line = try FileContent.text(path, atMost: Self.maximumBytes).split(separator: "\n", omittingEmptySubsequences: false)
                return line.first?.isEmpty == false ? nil : "the first line of the file is empty"
            case .page:
                let isEmpty = try FileContent.bytes(path, atMost: ErrorPages.largest).isEmpty
                return isEmpty ? "\(path) is empty" : nil
            case .stickyKeys:
                return nil
            }
        } catch {
            return use == .page ? "\(path) can't be read: \(error.problem)" : "the file can't be read: \(error.problem)"
        }
    }

    private static func refusal(_ load: () throws(ReactorError) -> TLSContext) -> String? {
        do throws(ReactorError) {
            _ = try load()
            return nil
        } catch {
            return error.message
        }
    }
}

extension BalancerConfiguration {
    /// Everything that is read from elsewhere, each with the key that names it.
    var referencedFiles: [ReferencedFile] {
        var files: [ReferencedFile] = []
        func add(_ tls: ListenerTLS?, _ key: String) {
            guard let tls else { return }
            for (index, certificate) in tls.certificates.enumerated() {
                files.append(
                    .init(key: "\(key).certificates[\(index)]", path: certificate.certificate, use: .certificate(key: certificate.key))
                )
            }
            if let path = tls.clientAuthorities { files.append(.init(key: "\(key).client_ca", path: path, use: .authorities)) }
        }
        for (index, listener) in listeners.enumerated() { add(listener.tls, "listeners[\(index)].tls") }
        add(admin?.tls, "admin.tls")
        for (index, user) in (admin?.users ?? []).enumerated() {
            files.append(.init(key: "admin.users[\(index)].password_file", path: user.passwordFile, use: .secretLine))
        }
        for pool in pools {
            let key = "pools.\(pool.name)"
            if let path = pool.health.webSocketTokenFile {
                files.append(.init(key: "\(key).health.websocket.token_file", path: path, use: .secretLine))
            }
            if let path = pool.tls?.authorities { files.append(.init(key: "\(key).tls.ca", path: path, use: .authorities)) }
            if let path = pool.tls?.certificate, let own = pool.tls?.key {
                files.append(.init(key: "\(key).tls.certificate", path: path, use: .certificate(key: own)))
            }
            for (status, path) in pool.errorPages.sorted(by: { $0.key < $1.key }) {
                files.append(.init(key: "\(key).error_pages.\(status)", path: path, use: .page))
            }
        }
        if let path = stickyKeysFile { files.append(.init(key: "sticky_keys_file", path: path, use: .stickyKeys)) }
        return files
    }

    /// The files whose change is a change of the configuration. Certificates have a watch of their own.
    package var watchedFiles: [String] {
        referencedFiles.compactMap { file in
            switch file.use {
            case .certificate, .authorities: nil
            case .secretLine, .page, .stickyKeys: file.path
            }
        }
    }

    /// Faults of what lies outside of the configuration: files, users and groups of this system.
    var fileFaults: [ConfigurationFault] {
        var faults = FaultList()
        for file in referencedFiles {
            if let problem = file.problem { faults.add(file.key, problem) }
        }
        if let user { faults.require(getpwnam(user) != nil, "user", "there is no user '\(user)' on this system") }
        if let group { faults.require(getgrnam(group) != nil, "group", "there is no group '\(group)' on this system") }
        return faults.all
    }
}
