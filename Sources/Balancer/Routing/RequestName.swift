// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Wire

/// What a request is called in every log it touches: a request id, and a trace of W3C Trace Context. Both are ours and the same, unless a
/// trusted peer gave some: then its own are carried on.
struct RequestName: Sendable {
    private let high: UInt64
    private let low: UInt64
    private let span: UInt64
    private var givenID: String?
    private var givenTrace: String?

    /// The generator is the loop's: names must differ, they needn't be secret.
    init(using generator: inout some RandomNumberGenerator, _ head: RequestHead, in bytes: Span<UInt8>, isTrusted: Bool) {
        high = generator.next()
        // All zeros are not allowed for the two ids.
        low = generator.next() | 1
        span = generator.next() | 1
        guard isTrusted else { return }
        let carried = CarriedIdentity(head.fields, in: bytes)
        givenTrace = carried.traceID.map { bytes.string($0) }
        givenID = carried.requestID.map { bytes.string($0) }
    }

    /// Without an id of its own, a request is called as its trace.
    var requestID: String { givenID ?? traceID }

    var traceID: String {
        if let givenTrace { return givenTrace }
        var bytes: [UInt8] = []
        Self.append(high, to: &bytes)
        Self.append(low, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Adds `X-Request-Id` and `traceparent`. We record no spans: a given trace goes on as it came, with its state, and ours says that it is
    /// not sampled. The state of a trace that could not be taken would belong to nothing.
    func append(_ fields: HTTPFields, _ bytes: Span<UInt8>, into out: inout [UInt8]) {
        out.append("X-Request-Id: ")
        if let given = givenID ?? givenTrace { out.append(given) } else { appendOwn(to: &out) }
        out.append("\r\n")
        guard givenTrace == nil else {
            for field in fields where field.known == .traceparent || field.known == .tracestate {
                HeadWriter.field(field, in: bytes, into: &out)
            }
            return
        }
        out.append("traceparent: 00-")
        appendOwn(to: &out)
        out.append("-")
        Self.append(span, to: &out)
        out.append("-00\r\n")
    }

    private func appendOwn(to out: inout [UInt8]) {
        Self.append(high, to: &out)
        Self.append(low, to: &out)
    }

    private static func append(_ value: UInt64, to out: inout [UInt8]) {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 16) { digits in
            for place in 0..<16 {
                let digit = UInt8(truncatingIfNeeded: value >> UInt64(60 - 4 * place)) & 15
                digits.initializeElement(at: place, to: digit < 10 ? 0x30 + digit : 0x61 - 10 + digit)
            }
            out.append(contentsOf: digits)
        }
    }
}

/// wyrand: a multiplication a number. Seeded by the system, owned by a loop.
struct NameGenerator: RandomNumberGenerator {
    private var state: UInt64

    init() {
        var system = SystemRandomNumberGenerator()
        state = system.next()
    }

    mutating func next() -> UInt64 {
        state &+= 0xA076_1D64_78BD_642F
        let product = state.multipliedFullWidth(by: state ^ 0xE703_7ED1_A0B4_28DB)
        return product.high ^ product.low
    }
}
