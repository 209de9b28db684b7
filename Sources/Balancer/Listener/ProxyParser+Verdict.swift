// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor
import Wire

/// PROXY headers in the terms of a listener's prelude.
extension ProxyParser {
    static func verdict(_ bytes: Span<UInt8>) -> ListenerPrelude.Verdict {
        do throws(ProxyFault) {
            guard let header = try parse(bytes) else { return .incomplete }
            return .complete(length: header.length, client: header.source.map { SocketAddress($0) })
        } catch {
            return .refused
        }
    }
}

extension SocketAddress {
    fileprivate init(_ address: ProxyHeader.Address) {
        switch address {
        case .v4(let bytes, let port): self = .v4(bytes.reduce(0) { $0 << 8 | UInt32($1) }, port: port)
        case .v6(let bytes, let port): self = .v6(bytes, port: port, scope: 0)
        case .unix(let path): self = .unix(String(decoding: path, as: UTF8.self))
        }
    }
}
