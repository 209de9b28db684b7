// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Replies of a hostile Redis. Holds: the cut changes nothing; the fast path for published messages reads what hiredis reads; values
/// written anew are read as the same; limits are kept.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzRESP(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    guard let input = FuzzInput(start, count) else { return 0 }
    // Limits of bytes are met by what is incomplete, so they depend on the cut by design; the others don't.
    let limits = input.settings & 0x80 == 0 ? RESPLimits() : RESPLimits(bytes: 1 << 20, elements: 8, depth: 2)
    let outcome = input.same("next") { readNext(input.bytes, limits, $0) }
    let messages = input.same("read") { readMessages(input.bytes, limits, $0) }
    check(messages == outcome, "hiredis reads \(outcome), the fast path \(messages)")

    var written: [UInt8] = []
    for value in outcome.values {
        var elements = 0
        check(value.depth(&elements) <= limits.depth + 1 && elements <= limits.elements, "\(value) is above the limits")
        value.write(to: &written)
    }
    let again = readNext(written, limits, [written.count])
    check(again == Outcome(values: outcome.values), "written anew, \(outcome) is \(again)")
    return 0
}

private struct Outcome: Equatable {
    var values: [RESPValue] = []
    var fault: String?
}

private func readNext(_ bytes: [UInt8], _ limits: RESPLimits, _ plan: [Int]) -> Outcome {
    var outcome = Outcome()
    guard let reader = RESPReader(limits: limits) else { return outcome }
    var start = 0
    do throws(RESPFault) {
        for end in plan {
            try reader.feed(bytes.span.extracting(start..<end))
            while let value = try reader.next() { outcome.values.append(value) }
            start = end
        }
    } catch {
        outcome.fault = error.code
    }
    return outcome
}

private func readMessages(_ bytes: [UInt8], _ limits: RESPLimits, _ plan: [Int]) -> Outcome {
    var outcome = Outcome()
    guard let reader = RESPReader(limits: limits) else { return outcome }
    var values: [RESPValue] = []
    var start = 0
    do throws(RESPFault) {
        for end in plan {
            try reader.read(bytes.span.extracting(start..<end)) { channel, payload in
                values.append(.array([.bulk([UInt8]("message".utf8)), .bulk(channel.array()), .bulk(payload.array())]))
            } reply: { value in
                values.append(value)
            }
            start = end
        }
    } catch {
        outcome.fault = error.code
    }
    outcome.values = values
    return outcome
}

extension RESPValue {
    fileprivate func depth(_ elements: inout Int) -> Int {
        guard case .array(let values) = self else { return 1 }
        elements += values.count
        return 1 + (values.map { $0.depth(&elements) }.max() ?? 0)
    }

    fileprivate func write(to out: inout [UInt8]) {
        switch self {
        case .simple(let text): out.append("+\(text)\r\n")
        case .error(let text): out.append("-\(text)\r\n")
        case .integer(let value): out.append(":\(value)\r\n")
        case .null: out.append("$-1\r\n")
        case .bulk(let bytes):
            out.append("$\(bytes.count)\r\n")
            out += bytes
            out.append("\r\n")
        case .array(let values):
            out.append("*\(values.count)\r\n")
            for value in values { value.write(to: &out) }
        }
    }
}
