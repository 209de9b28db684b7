// Keyvane
// SPDX-License-Identifier: Apache-2.0

import HummingbirdCore
import HummingbirdTLS
import NIOSSL

/// The listener's TLS: 1.2 at least, and clients' certificates where authorities are named.
enum ServerTLS {
    static func builder(_ plain: HTTPServerBuilder, _ tls: APITLS?) throws -> HTTPServerBuilder {
        guard let tls else { return plain }
        do {
            var configuration = TLSConfiguration.makeServerConfiguration(
                certificateChain: try NIOSSLCertificate.fromPEMFile(tls.certificate).map { .certificate($0) },
                privateKey: .privateKey(try NIOSSLPrivateKey(file: tls.key, format: .pem))
            )
            configuration.minimumTLSVersion = .tlsv12
            configuration.applicationProtocols = ["http/1.1"]
            if let authorities = tls.clientAuthorities {
                configuration.trustRoots = .certificates(try NIOSSLCertificate.fromPEMFile(authorities))
                configuration.certificateVerification = .noHostnameVerification
            }
            return try .tls(plain, tlsConfiguration: configuration)
        } catch {
            throw ServerTLSError(underlying: error)
        }
    }
}

/// Why the listener can't speak TLS. No path of a key in it.
struct ServerTLSError: Error, CustomStringConvertible {
    let underlying: any Error

    var description: String {
        "tls_files_invalid: the files of the API's TLS can't be used; they must be PEM, the key without a password (\(underlying))"
    }
}
