// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// PROXY headers of a hostile peer. Holds: the cut changes nothing; every prefix of a header is incomplete, and what stands behind it
/// counts for nothing; limits are kept; what was read, written anew in version 2, is read as the same.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzProxy(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    guard let input = FuzzInput(start, count) else { return 0 }
    let outcome = input.same("parse") { plan in
        for end in plan {
            let outcome = read(Array(input.bytes[..<end]))
            if outcome != .incomplete { return outcome }
        }
        return Outcome.incomplete
    }
    guard case .complete(let header) = outcome else { return 0 }
    check(header.length <= input.bytes.count && header.length <= ProxyParser.limit, "a header of \(header.length) bytes")
    check(input.bytes[0] != 0x50 || header.length <= 107, "a line of \(header.length) bytes")
    check(read(Array(input.bytes[..<header.length])) == outcome, "without what follows it is another header")
    for end in [header.length - 1, header.length / 2, input.cut] where end < header.length {
        check(read(Array(input.bytes[..<end])) == .incomplete, "\(end) bytes of \(header.length) are enough")
    }
    guard let source = header.source, let destination = header.destination else { return 0 }
    guard case .complete(let again) = read(written(source, destination)) else { fatalError("written anew, it isn't read") }
    check(again.source == source && again.destination == destination, "written anew, \(header) is \(again)")
    return 0
}

private enum Outcome: Equatable {
    case incomplete
    case complete(ProxyHeader)
    case refused(ProxyFault)
}

private func read(_ bytes: [UInt8]) -> Outcome {
    do throws(ProxyFault) {
        return try ProxyParser.parse(bytes.span).map { .complete($0) } ?? .incomplete
    } catch {
        return .refused(error)
    }
}

private func written(_ source: ProxyHeader.Address, _ destination: ProxyHeader.Address) -> [UInt8] {
    var family: UInt8 = 0
    var hosts: [UInt8] = []
    var ports: [UInt8] = []
    for address in [source, destination] {
        switch address {
        case .v4(let bytes, let port):
            family = 0x11
            hosts += bytes
            ports += [UInt8(port >> 8), UInt8(port & 255)]
        case .v6(let bytes, let port):
            family = 0x21
            hosts += bytes
            ports += [UInt8(port >> 8), UInt8(port & 255)]
        case .unix(let path):
            family = 0x31
            hosts += path + [UInt8](repeating: 0, count: 108 - path.count)
        }
    }
    let length = hosts.count + ports.count
    return ProxyParser.signature + [0x21, family, UInt8(length >> 8), UInt8(length & 255)] + hosts + ports
}
