// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Heads and the bodies behind them. Holds: the cut changes nothing; an accepted head, written anew, is read as the same head; content
/// that was decoded and encoded again is the same content; removed cookies are gone and the rest is untouched.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzHTTP(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    guard let input = FuzzInput(start, count) else { return 0 }
    // The upper bits choose small limits, so that they are met.
    let limits = input.settings & 0x80 == 0 ? HeadLimits() : HeadLimits(bytes: 64, fields: 2)
    let isRequest = input.settings & 1 == 0
    let outcome = input.same("head") { plan in
        isRequest ? readRequest(input.bytes, plan, limits) : readResponse(input.bytes, plan, limits)
    }
    guard case .head(let head) = outcome else { return 0 }
    if head.isHTTP11 {
        let again = isRequest ? readRequest(head.written, [head.written.count]) : readResponse(head.written, [head.written.count])
        guard case .head(let second) = again else { fatalError("written anew, the head is \(again)") }
        check(second.parts == head.parts, "written anew, \(head.parts) is \(second.parts)")
    }
    fuzzBody(Array(input.bytes[head.length...]), head.framing, input)
    return 0
}

private struct ReadHead: Equatable {
    var length: Int
    var framing: BodyFraming
    var isHTTP11: Bool
    var parts: [String]
    var written: [UInt8]
}

private enum HeadOutcome: Equatable {
    case incomplete
    case fault(HTTPFault)
    case head(ReadHead)
}

private func readRequest(_ bytes: [UInt8], _ plan: [Int], _ limits: HeadLimits = HeadLimits()) -> HeadOutcome {
    var parser = RequestHeadParser(limits: limits)
    do throws(HTTPFault) {
        for end in plan {
            let prefix = bytes.span.extracting(0..<end)
            guard case .complete(let length) = try parser.parse(prefix) else { continue }
            let head = parser.head
            var written: [UInt8] = []
            HeadWriter.requestLine(of: head, in: prefix, into: &written)
            var parts = ["\(head.method) \(prefix.string(head.methodRange)) \(prefix.string(head.target)) \(prefix.string(head.path))"]
            parts.append("\(head.framing) \(head.isPersistent) \(head.wantsUpgrade) \(head.expectsContinue)")
            parts += fields(head.fields, prefix, &written)
            fuzzValues(head, prefix)
            return .head(
                ReadHead(length: length, framing: head.framing, isHTTP11: head.version == .http11, parts: parts, written: written)
            )
        }
    } catch {
        return .fault(error)
    }
    return .incomplete
}

private func readResponse(_ bytes: [UInt8], _ plan: [Int], _ limits: HeadLimits = HeadLimits()) -> HeadOutcome {
    var parser = ResponseHeadParser(limits: limits)
    do throws(HTTPFault) {
        for end in plan {
            let prefix = bytes.span.extracting(0..<end)
            guard case .complete(let length) = try parser.parse(prefix) else { continue }
            let head = parser.head
            var written: [UInt8] = []
            HeadWriter.statusLine(of: head, in: prefix, into: &written)
            var parts = ["\(head.status) \(prefix.string(head.reason)) \(head.framing(for: .get)) \(head.isPersistent(for: .get))"]
            parts += fields(head.fields, prefix, &written)
            _ = try? WebSocketDeflate.isAgreed(head, in: prefix)
            _ = WebSocketHandshake.isAccepted(head, in: prefix, key: [UInt8]("dGhlIHNhbXBsZSBub25jZQ==".utf8).span)
            return .head(
                ReadHead(
                    length: length,
                    framing: head.framing(for: .get),
                    isHTTP11: head.version == .http11,
                    parts: parts,
                    written: written
                )
            )
        }
    } catch {
        return .fault(error)
    }
    return .incomplete
}

private func fields(_ fields: HTTPFields, _ bytes: Span<UInt8>, _ written: inout [UInt8]) -> [String] {
    var parts: [String] = []
    for field in fields {
        parts.append("\(String(describing: field.known)) \(field.name(in: bytes)) \(field.value(in: bytes))")
        _ = fields.isNominatedByConnection(field, in: bytes)
        HeadWriter.field(field, in: bytes, into: &written)
    }
    HeadWriter.end(&written)
    return parts
}

private func fuzzValues(_ head: RequestHead, _ bytes: Span<UInt8>) {
    if let upgrade = try? WebSocketHandshake.check(head, in: bytes) { check(upgrade.key.count == 24, "a key of \(upgrade.key)") }
    if WebSocketDeflate.negotiate(head, in: bytes) != nil {
        check(head.fields.contains(.secWebSocketExtensions), "an extension that nobody offered")
    }
    _ = AcceptField.asks(for: ServerSentEvent.contentType, head.fields, in: bytes)
    let carried = CarriedIdentity(head.fields, in: bytes)
    check(carried.traceID.map { $0.count == 32 } ?? true, "a trace id of \(bytes.string(carried.traceID ?? 0..<0))")
    check(carried.requestID.map { (1...CarriedIdentity.longestRequestID).contains($0.count) } ?? true, "a request id without its length")
    let parameters = QueryParameters(head.query, in: bytes)
    if let name = parameters.all.first?.name {
        check(parameters.first(name) == QueryParameters.first(name, of: head.query, in: bytes), "two first values of \(name)")
    }
    for field in head.fields where field.known == .cookie {
        let found = Cookies.first("K", in: bytes, field.value)
        switch Cookies.removing("K", in: bytes, field.value) {
        case .absent: check(found == nil, "a cookie was found and not removed")
        case .wholeField: check(found != nil, "a field without the cookie was removed")
        case .keep(let pieces):
            check(found != nil, "a field without the cookie was changed")
            check(zip(pieces, pieces.dropFirst()).allSatisfy { $0.upperBound <= $1.lowerBound }, "pieces out of order: \(pieces)")
            let rest = pieces.flatMap { bytes.array($0) }
            check(Cookies.first("K", in: rest.span, 0..<rest.count) == nil, "the cookie is still there")
        }
    }
}

private struct BodyOutcome: Equatable {
    var content: [UInt8] = []
    var consumed: Int?
    var fault: HTTPFault?
}

private func fuzzBody(_ bytes: [UInt8], _ framing: BodyFraming, _ input: FuzzInput) {
    let cut = min(input.cut, bytes.count)
    let whole = readBody(bytes, framing, [bytes.count])
    for plan in [[cut, bytes.count], Array(1...max(1, min(bytes.count, 512))) + [bytes.count]] where !bytes.isEmpty {
        let other = readBody(bytes, framing, plan)
        check(other == whole, "body: cut at \(plan) gives \(other), as a whole \(whole)")
    }
    guard framing == .chunked, whole.consumed != nil else { return }
    let encoded = "\(String(whole.content.count, radix: 16))\r\n"
    var again: [UInt8] = whole.content.isEmpty ? [] : [UInt8](encoded.utf8) + whole.content + [13, 10]
    again.append("0\r\n\r\n")
    check(
        readBody(again, .chunked, [again.count]) == BodyOutcome(content: whole.content, consumed: again.count),
        "content encoded again is another one"
    )
}

private func readBody(_ bytes: [UInt8], _ framing: BodyFraming, _ plan: [Int]) -> BodyOutcome {
    var outcome = BodyOutcome()
    var parser = BodyParser(framing)
    var start = 0
    do throws(HTTPFault) {
        for end in plan where end > start {
            let piece = bytes.span.extracting(start..<end)
            let progress = try parser.parse(piece) { outcome.content.append(piece, $0) }
            if case .complete(let consumed) = progress {
                outcome.consumed = start + consumed
                return outcome
            }
            start = end
        }
    } catch {
        outcome.fault = error
    }
    return outcome
}
