// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Wire

/// The answer of a plain listener that sends its clients to https, with host and URI as they asked for them.
struct HTTPSRedirect: Sendable {
    let status: Int
    /// Of the TLS listener, where it isn't https's own.
    let port: UInt16?

    /// nil for what must be answered here: challenges of certificate authorities, and clients that have come by https to a proxy before us.
    func answer(
        _ head: RequestHead,
        _ bytes: Span<UInt8>,
        _ forwarding: ForwardingFields,
        keepAlive: Bool
    ) -> [UInt8]? {
        guard let host = head.fields.first(.host), !host.isEmpty, !Self.isChallenge(head, bytes), !forwarding.isSecure(head.fields, bytes)
        else { return nil }
        var location = "https://" + name(bytes.string(host))
        // `OPTIONS *` has no URI to go to.
        location += bytes.string(head.path) == "*" ? "/" : bytes.string(head.target)
        return HTTPResponseBytes.simple(
            status: status,
            extraFields: [("Location", location)],
            keepAlive: keepAlive,
            omitBody: head.method == .head
        )
    }

    private static func isChallenge(_ head: RequestHead, _ bytes: Span<UInt8>) -> Bool {
        let prefix: StaticString = "/.well-known/acme-challenge/"
        let length = prefix.utf8CodeUnitCount
        return head.path.count > length && bytes.equals(head.path.lowerBound..<head.path.lowerBound + length, prefix)
    }

    /// Who named a port may have to name another one; who named none finds https at its own.
    private func name(_ host: String) -> String {
        guard let colon = host.lastIndex(of: ":"), !host[colon...].contains("]") else { return host }
        return host[..<colon] + (port.map { ":\($0)" } ?? "")
    }
}
