// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Frames in both roles, with and without permessage-deflate. Holds: the cut changes nothing; what was read, written anew as frames
/// (compressed ones where that was agreed), is read as the same; a message never exceeds its limit, whatever it inflates to; text is
/// what the standard library calls UTF-8.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzWebSocket(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    guard let input = FuzzInput(start, count) else { return 0 }
    let role: WebSocketParser.Role = input.settings & 1 == 0 ? .server : .client
    let maximum = input.settings & 0x80 == 0 ? 1 << 16 : 16
    let inflates = input.settings & 4 != 0
    let outcome = input.same("frames") { read(input.bytes, role, maximum, inflates, $0) }

    var written: [UInt8] = []
    let deflater = inflates ? Deflater(level: 1) : nil
    for message in outcome.messages {
        check(message.payload.count <= max(maximum, 125), "a message of \(message.payload.count) bytes")
        message.write(deflater, mask: role == .server ? 0x0102_0304 &* UInt32(input.settings) : nil, to: &written)
    }
    let again = read(written, role, maximum, inflates, [written.count])
    check(again.messages == outcome.messages && again.fault == nil, "written anew, \(outcome) is \(again)")

    let isText = String(validating: input.bytes, as: UTF8.self) != nil
    check(UTF8Validator.isValid(input.bytes.span) == isText, "the validator is wrong about \(input.bytes)")
    return 0
}

private struct Message: Equatable {
    var event: WebSocketEvent
    var payload: [UInt8]

    func write(_ deflater: Deflater?, mask: UInt32?, to out: inout [UInt8]) {
        switch event {
        case .text, .binary:
            let opcode: WebSocketOpcode = event == .text ? .text : .binary
            if let deflater {
                deflater.appendFrame(opcode, payload.span, mask: mask, to: &out)
            } else {
                WebSocketFrame.append(opcode, payload, mask: mask, to: &out)
            }
        case .ping: WebSocketFrame.append(.ping, payload, mask: mask, to: &out)
        case .pong: WebSocketFrame.append(.pong, payload, mask: mask, to: &out)
        case .close(let code):
            WebSocketFrame.appendClose(code, reason: String(decoding: payload, as: UTF8.self), mask: mask, to: &out)
        }
    }
}

private struct Outcome: Equatable {
    var messages: [Message] = []
    var fault: WebSocketFault?
}

private func read(_ bytes: [UInt8], _ role: WebSocketParser.Role, _ maximum: Int, _ inflates: Bool, _ plan: [Int]) -> Outcome {
    var outcome = Outcome()
    var parser = WebSocketParser(role: role, maximumMessage: maximum, inflates: inflates)
    var start = 0
    for end in plan {
        do throws(WebSocketFault) {
            try parser.feed(bytes.span.extracting(start..<end)) { event, payload in
                if event == .text { check(UTF8Validator.isValid(payload), "text that is not") }
                outcome.messages.append(Message(event: event, payload: payload.array()))
            }
        } catch {
            check(outcome.fault == nil, "a second fault")
            outcome.fault = error
        }
        start = end
    }
    return outcome
}
