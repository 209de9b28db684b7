// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Wire

/// What a request is called in every log it touches: the request id, which is also the trace id of W3C Trace Context, and our span in it.
struct RequestName: Sendable {
    private let high: UInt64
    private let low: UInt64
    private let span: UInt64

    /// The generator is the loop's: names must differ, they needn't be secret.
    init(using generator: inout some RandomNumberGenerator) {
        high = generator.next()
        // All zeros are not allowed for the two ids.
        low = generator.next() | 1
        span = generator.next() | 1
    }

    var text: String {
        var bytes: [UInt8] = []
        Self.append(high, to: &bytes)
        Self.append(low, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Adds `X-Request-Id` and `traceparent` (not sampled: we record no spans).
    func append(requestID: Bool, trace: Bool, into out: inout [UInt8]) {
        if requestID {
            out.append("X-Request-Id: ")
            Self.append(high, to: &out)
            Self.append(low, to: &out)
            out.append("\r\n")
        }
        if trace {
            out.append("traceparent: 00-")
            Self.append(high, to: &out)
            Self.append(low, to: &out)
            out.append("-")
            Self.append(span, to: &out)
            out.append("-00\r\n")
        }
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
