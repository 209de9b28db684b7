// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Wire

/// All that a parser told, payloads included.
struct WebSocketOutcome: Equatable {
    var events: [String] = []
    var fault: WebSocketFault?
    var isIdle = true
}

func webSocketOutcome(
    _ bytes: [UInt8],
    role: WebSocketParser.Role = .client,
    maximum: Int = 1 << 20,
    inflates: Bool = false,
    plan: [Int]? = nil
) -> WebSocketOutcome {
    var outcome = WebSocketOutcome()
    var parser = WebSocketParser(role: role, maximumMessage: maximum, inflates: inflates)
    var start = 0
    for end in plan ?? [bytes.count] {
        var events: [String] = []
        do throws(WebSocketFault) {
            try parser.feed(bytes.span.extracting(start..<end)) { event, payload in
                events.append(describe(event, payload))
            }
        } catch {
            precondition(parser.isClosed)
            outcome.fault = error
        }
        outcome.events += events
        start = end
    }
    outcome.isIdle = parser.isIdle
    return outcome
}

func describe(_ event: WebSocketEvent, _ payload: Span<UInt8>) -> String {
    switch event {
    case .text: "text \(payload.string())"
    case .binary: "binary \(ByteText.hex(payload.array()))"
    case .ping: "ping \(ByteText.hex(payload.array()))"
    case .pong: "pong \(ByteText.hex(payload.array()))"
    case .close(let code): "close \(code.map { "\($0.rawValue)" } ?? "-") \(payload.string())"
    }
}

func webSocketOutcomes(
    _ bytes: [UInt8],
    role: WebSocketParser.Role = .client,
    maximum: Int = 1 << 20,
    inflates: Bool = false
) -> [WebSocketOutcome] {
    Feeding.results(of: bytes) { webSocketOutcome(bytes, role: role, maximum: maximum, inflates: inflates, plan: $0) }
}

/// One unmasked frame with exactly these header bits, right or wrong.
func rawFrame(_ first: UInt8, _ payload: [UInt8] = []) -> [UInt8] {
    precondition(payload.count < 126)
    return [first, UInt8(payload.count)] + payload
}
