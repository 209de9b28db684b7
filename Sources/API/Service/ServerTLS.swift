// Keyvane
// SPDX-License-Identifier: Apache-2.0

import HummingbirdCore
import Logging
import NIOCore
import NIOSSL
import Synchronization

/// The listener's TLS: 1.2 at least, and clients' certificates where authorities are named. One context at a time, replaced while connections
/// made with an earlier one live on. Guarded by its mutex.
final class ServerTLS: Sendable {
    private let context: Mutex<NIOSSLContext>

    init(_ tls: APITLS) throws {
        context = Mutex(try Self.load(tls))
    }

    /// Reads the files anew, for connections from now on. Where it throws nothing has changed.
    func replace(_ tls: APITLS) throws {
        let new = try Self.load(tls)
        context.withLock { $0 = new }
    }

    fileprivate var current: NIOSSLContext { context.withLock { $0 } }

    func builder(_ configuration: HTTP1Channel.Configuration) -> HTTPServerBuilder {
        HTTPServerBuilder { responder in
            SecureChannel(plain: HTTP1Channel(responder: responder, configuration: configuration), tls: self)
        }
    }

    private static func load(_ tls: APITLS) throws -> NIOSSLContext {
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
            return try NIOSSLContext(configuration: configuration)
        } catch {
            throw ServerTLSError(underlying: error)
        }
    }
}

/// A connection with TLS below its HTTP.
private struct SecureChannel: ServerChildChannel {
    let plain: HTTP1Channel
    let tls: ServerTLS

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<HTTP1Channel.Value> {
        channel.eventLoop.makeCompletedFuture {
            try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls.current))
        }.flatMap {
            plain.setup(channel: channel, logger: logger)
        }
    }

    func handle(value: HTTP1Channel.Value, logger: Logger) async {
        await plain.handle(value: value, logger: logger)
    }
}

/// Why the listener can't speak TLS. No path of a key in it.
struct ServerTLSError: Error, CustomStringConvertible {
    let underlying: any Error

    var description: String {
        "tls_files_invalid: the files of the API's TLS can't be used; they must be PEM, the key without a password (\(underlying))"
    }
}
