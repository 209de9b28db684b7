// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// What stands between a listener's accept and a connection; the default is nothing.
package struct ListenerOptions {
    /// Every client must make a handshake.
    package var tls: TLSServerIdentity?
    /// Every peer must begin with a header of its own.
    package var prelude: ListenerPrelude?
    /// Asked once for each client, by its address, before its handshake.
    package var admit: ((SocketAddress?) -> Admission)?
    /// For prelude and handshake together, from the accept on, however slowly they drip.
    package var timeout = Duration.seconds(10)
    /// Hears of each client that was turned away.
    package var turnedAway: (ArrivalFailure, SocketAddress?) -> Void = { _, _ in }

    package init() {}
}

/// May one more client come in?
package enum Admission {
    /// The permit lives as long as its connection: whoever counts does so when it is freed.
    case admitted(permit: AnyObject?)
    case refused
}

/// A header before everything else, TLS included, such as PROXY's.
package struct ListenerPrelude {
    package enum Verdict {
        /// Everything so far belongs to the header, and more must come.
        case incomplete
        /// The header has so many bytes; `client` is whom it names, nil where it names nobody and the peer itself counts.
        case complete(length: Int, client: SocketAddress?)
        case refused
    }

    /// Longer headers are refused.
    package var limit = 4096
    /// Is this peer believed? Others are turned away.
    package var trusts: (SocketAddress?) -> Bool
    /// Judges all bytes from the first one; may be asked again with more.
    package var read: (Span<UInt8>) -> Verdict

    package init(trusts: @escaping (SocketAddress?) -> Bool, read: @escaping (Span<UInt8>) -> Verdict) {
        self.trusts = trusts
        self.read = read
    }
}

/// Why a client did not become a connection.
package enum ArrivalFailure: Hashable, Sendable {
    case untrusted
    case notAdmitted
    case invalidPrelude
    /// It was too slow, or too many others came after it.
    case timedOut
    /// It left, or its handshake went wrong.
    case failed(ReactorError)

    /// For metrics.
    package var code: String {
        switch self {
        case .untrusted: "untrusted_peer"
        case .notAdmitted: "connection_limit"
        case .invalidPrelude: "invalid_proxy_header"
        case .timedOut: "handshake_timeout"
        case .failed: "handshake_failed"
        }
    }

    package static let codes = [
        Self.untrusted.code, Self.notAdmitted.code, Self.invalidPrelude.code, Self.timedOut.code, "handshake_failed",
    ]
}

/// What a connection keeps of its arrival. Owned by it; the permit goes with it.
final class ArrivalFacts {
    /// The other end of the socket.
    let peer: SocketAddress?
    private let permit: AnyObject?

    init(peer: SocketAddress?, permit: AnyObject?) {
        self.peer = peer
        self.permit = permit
    }
}
