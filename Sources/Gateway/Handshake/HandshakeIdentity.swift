// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Logging
import Wire

/// What a request is called in the logs of all roles: by the balancer or another proxy, by the client, else by us. An open watch keeps none
/// of it: from its first log line on it is called by the connection's name.
struct HandshakeIdentity {
    let requestID: String
    let traceID: String?

    init(_ head: RequestHead, in bytes: Span<UInt8>) {
        let carried = CarriedIdentity(head.fields, in: bytes)
        traceID = carried.traceID.map { bytes.string($0) }
        requestID = carried.requestID.map { bytes.string($0) } ?? traceID ?? Self.random()
    }

    /// 128 bits.
    private static func random() -> String {
        var generator = SystemRandomNumberGenerator()
        let (high, low) = (generator.next(), generator.next())
        return ByteText.hex((0..<16).map { UInt8(truncatingIfNeeded: ($0 < 8 ? high : low) >> UInt64($0 % 8 * 8)) })
    }

    /// For whoever asked, to find the request in the logs.
    var field: (name: String, value: String) { (name: "X-Request-Id", value: requestID) }

    var metadata: Logger.Metadata {
        var metadata: Logger.Metadata = [GatewayLogKey.requestID: .string(requestID)]
        if let traceID { metadata[GatewayLogKey.traceID] = .string(traceID) }
        return metadata
    }
}
