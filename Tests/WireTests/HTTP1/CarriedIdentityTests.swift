// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Testing
import Wire

@Suite struct CarriedIdentityTests {
    private static let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    private static let parent = "00f067aa0ba902b7"

    private func read(_ lines: String...) throws -> (requestID: String?, traceID: String?) {
        let bytes = [UInt8]("GET / HTTP/1.1\r\nHost: a\r\n\(lines.map { "\($0)\r\n" }.joined())\r\n".utf8)
        var parser = RequestHeadParser()
        _ = try parser.parse(bytes)
        let carried = CarriedIdentity(parser.head.fields, in: bytes.span)
        return (carried.requestID.map { bytes.span.string($0) }, carried.traceID.map { bytes.span.string($0) })
    }

    @Test func requestIDs() throws {
        #expect(try read().requestID == nil)
        for id in ["a", "0", "order-17:a/b=c+d@e._Z", String(repeating: "x", count: 128)] {
            #expect(try read("x-request-id: \(id) ").requestID == id)
        }
        for id in ["", "a b", "a\"b", "a,b", "a;b", "{", "\u{E9}", "a\tb", String(repeating: "x", count: 129)] {
            #expect(try read("X-Request-Id: \(id)").requestID == nil, "\(id)")
        }
        #expect(try read("X-Request-Id: a", "X-Request-Id: a").requestID == nil)
    }

    /// W3C Trace Context, section 3.2 and 4.3.
    @Test func traces() throws {
        let (trace, parent) = (Self.trace, Self.parent)
        for value in [
            "00-\(trace)-\(parent)-01", "00-\(trace)-\(parent)-00", "00-\(trace)-\(parent)-ff", "01-\(trace)-\(parent)-01",
            "fe-\(trace)-\(parent)-01-", "cc-\(trace)-\(parent)-01-what-the-future-brings",
        ] {
            #expect(try read("traceparent: \(value)").traceID == trace, "\(value)")
        }
        for value in [
            "", trace, "00-\(trace)-\(parent)", "00-\(trace)-\(parent)-1", "00-\(trace)-\(parent)-0x", "00-\(trace)-\(parent)-01-",
            "00-\(trace)-\(parent)-01.", "01-\(trace)-\(parent)-01.", "ff-\(trace)-\(parent)-01", "0-\(trace)-\(parent)-001",
            "00_\(trace)-\(parent)-01", "00-\(trace)_\(parent)-01", "00-\(trace)-\(parent)_01", "0A-\(trace)-\(parent)-01",
            "00-\(trace.uppercased())-\(parent)-01", "00-\(trace)-\(parent.uppercased())-01", "00-\(trace)-\(parent)-0A",
            "00-\(String(repeating: "0", count: 32))-\(parent)-01", "00-\(trace)-\(String(repeating: "0", count: 16))-01",
            "00-\(trace.dropLast())g-\(parent)-01",
        ] {
            #expect(try read("traceparent: \(value)").traceID == nil, "\(value)")
        }
        let line = "traceparent: 00-\(trace)-\(parent)-01"
        #expect(try read(line, line).traceID == nil)
    }
}
