// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Agreeing on permessage-deflate (RFC 7692 section 7.1), server's and client's side. Without context takeover in both directions: a
/// broadcast is compressed once for all sockets, and no connection keeps a window. For the same reason there is one window, of 15
/// bits, and an offer that insists on a smaller one is declined.
package enum WebSocketDeflate {
    private static let agreement = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
    private static let widestWindow = 15

    /// What our clients send in `Sec-WebSocket-Extensions`.
    package static let offer = agreement

    /// The answer's `Sec-WebSocket-Extensions` for the first offer that can be met, or nil: then the connection goes without.
    package static func negotiate(_ head: RequestHead, in bytes: Span<UInt8>) -> String? {
        for element in ExtensionList(head.fields, in: bytes)?.elements ?? [] {
            guard let offer = Parameters(element) else { continue }
            switch offer.serverWindow {
            case nil: return agreement
            // The limit it named is confirmed (section 7.1.2.1).
            case widestWindow?: return agreement + "; server_max_window_bits=\(widestWindow)"
            case _?: continue
            }
        }
        return nil
    }

    /// The server's answer to `offer`: true with the agreement, false without any extension, a fault for anything else.
    package static func isAgreed(_ head: ResponseHead, in bytes: Span<UInt8>) throws(HTTPFault) -> Bool {
        guard head.fields.contains(.secWebSocketExtensions) else { return false }
        guard let list = ExtensionList(head.fields, in: bytes) else { throw .badWebSocketAnswer }
        guard let element = list.elements.first else { return false }
        // Its messages must inflate without the ones before, and a limit for our window was not offered.
        guard list.elements.count == 1, let answer = Parameters(element), answer.serverForgets, !answer.namesClientWindow else {
            throw .badWebSocketAnswer
        }
        return true
    }

    /// One offer or answer; nil where it is of another extension or not of this one's form (section 7.1).
    private struct Parameters {
        private(set) var serverForgets = false
        private(set) var serverWindow: Int?
        /// In an offer a hint that the client could be told one. It may send what it likes: we inflate with the widest window.
        private(set) var namesClientWindow = false

        init?(_ element: ExtensionList.Element) {
            guard element.name == "permessage-deflate" else { return nil }
            var seen: Set<String> = []
            for parameter in element.parameters {
                guard seen.insert(parameter.name).inserted else { return nil }
                switch (parameter.name, parameter.value) {
                case ("server_no_context_takeover", nil): serverForgets = true
                case ("client_no_context_takeover", nil): break
                case ("server_max_window_bits", let value?):
                    guard let bits = Self.bits(value) else { return nil }
                    serverWindow = bits
                case ("client_max_window_bits", let value):
                    guard value == nil || value.flatMap(Self.bits) != nil else { return nil }
                    namesClientWindow = true
                default: return nil
                }
            }
        }

        /// 8 to 15, without leading zeros.
        private static func bits(_ text: String) -> Int? {
            guard let bits = Int(text), (8...WebSocketDeflate.widestWindow).contains(bits), text == String(bits) else { return nil }
            return bits
        }
    }
}
