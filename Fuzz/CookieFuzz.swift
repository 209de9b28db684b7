// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Wire

/// A hostile client's `Cookie` line, and what it makes of a pin. Holds: a cookie that was taken out is gone, and every other one is there as
/// the client sent it; only a token that a key of the ring signed is one, whatever was changed in it, remembered or not; no byte
/// of it has a second spelling but base64's two alphabets.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzCookie(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    guard let input = FuzzInput(start, count) else { return 0 }
    takenOut(input.bytes)
    spelledOnce(input.bytes)
    pinned(input.bytes, changed: input.settings)
    return 0
}

/// What the key ring's parser throws in the balancer; its own error brings sockets along.
package struct BalancerError: Error {
    package enum Code { case stickyKeysInvalid }

    init(_ code: Code, _ message: String) {}
}

private let name = "PIN"

private func takenOut(_ line: [UInt8]) {
    let expected = parts(line).filter { $0.name != Array(name.utf8) }
    let remains: [UInt8]
    switch Cookies.removing(name, in: line.span, 0..<line.count) {
    case .absent:
        check(!isThere(line), "it is there and absent")
        remains = line
    case .wholeField:
        check(expected.allSatisfy { $0.text.isEmpty }, "others went with it")
        return
    case .keep(let pieces):
        for (piece, next) in zip(pieces, pieces.dropFirst()) { check(piece.upperBound <= next.lowerBound, "pieces don't rise: \(pieces)") }
        remains = pieces.flatMap { line[$0] }
    }
    check(!isThere(remains), "taken out, it is still found")
    check(parts(remains).map(\.text).filter { !$0.isEmpty } == expected.map(\.text).filter { !$0.isEmpty }, "other cookies changed")
}

private func isThere(_ line: [UInt8]) -> Bool {
    Cookies.first(name, in: line.span, 0..<line.count) != nil
}

/// The cookies of a line as anybody would read them, blanks around each cut off; the name only where there is an equals sign.
private func parts(_ line: [UInt8]) -> [(name: [UInt8]?, text: [UInt8])] {
    line.split(separator: 0x3B, omittingEmptySubsequences: false).map { part in
        (part.firstIndex(of: 0x3D).map { trimmed(part[..<$0]) }, trimmed(part))
    }
}

private func trimmed(_ part: ArraySlice<UInt8>) -> [UInt8] {
    let isBlank: (UInt8) -> Bool = { $0 == 0x20 || $0 == 0x09 }
    return Array(part.drop(while: isBlank).reversed().drop(while: isBlank).reversed())
}

private func spelledOnce(_ text: [UInt8]) {
    guard let decoded = Base64Text.decode(text.span) else { return }
    let padding = text.suffix(2).reversed().prefix { $0 == 0x3D }.count
    let plain = text.dropLast(padding).map { $0 == 0x2B ? 0x2D : $0 == 0x2F ? 0x5F : $0 }
    check(Array(ByteText.base64URL(decoded).utf8) == plain, "\(decoded.count) bytes have two spellings")
}

/// A token of the input's choice, then with one byte changed, then the input itself in its place.
private func pinned(_ bytes: [UInt8], changed: UInt8) {
    guard let ring = try? StickyKeyRing(parsing: keys) else { fatalError("the keys are none") }
    let signer = StickySigner(ring, pool: "api")
    let number = bytes.prefix(16).reduce(UInt64(bytes.count)) { $0 &* 31 &+ UInt64($1) }
    let token = StickyToken(tag: number, issued: UInt32(truncatingIfNeeded: number >> 7), expires: UInt32(truncatingIfNeeded: number >> 19))
    let signed = Array(signer.sign(token).utf8)
    check(read(signed, signer, VerifiedTokens()) == token, "what was signed isn't read")
    check(StickySigner(ring, pool: "gateway").verify(signed.span) == nil, "another pool's token counts")

    let memory = VerifiedTokens()
    check(read(signed, signer, memory) == token, "what was signed isn't read into the memory")
    var damaged = signed
    let place = Int(changed) % damaged.count
    let byte = bytes.last ?? 0
    damaged[place] = byte
    let isSame =
        signed[place] == byte || [signed[place], byte].sorted() == [0x2B, 0x2D] || [signed[place], byte].sorted() == [0x2F, 0x5F]
    check((read(damaged, signer, memory) != nil) == isSame, "byte \(place) as \(byte) instead of \(signed[place])")
    // What a client makes up is no token: a match would be a forged MAC.
    if bytes != signed { check(read(bytes, signer, memory) == nil, "a made-up token counts") }
}

/// The same with and without a memory, and the second time.
private func read(_ text: [UInt8], _ signer: StickySigner, _ memory: VerifiedTokens) -> StickyToken? {
    let plain = signer.verify(text.span)?.token
    for _ in 0..<2 { check(signer.verify(text.span, with: memory)?.token == plain, "remembered, it is another token") }
    return plain
}

private let keys = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=,new:YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXowMTIzNDU="
