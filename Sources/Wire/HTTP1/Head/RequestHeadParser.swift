// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Bytes of a connection become a request head: scanned once, in place, strictly, refused at the first wrong byte.
/// Owned by a connection or, reset between heads, by a loop. While a head is incomplete the caller keeps its bytes and gives
/// the same ones again with more behind them; the parser remembers how far it got, so feeding byte by byte stays linear.
/// A parser that has seen no byte owns no memory. Holds: equal bytes give an equal head or fault, however they were split;
/// an accepted head has one meaning to every parser behind us; ranges count from the first byte given.
package struct RequestHeadParser: Sendable {
    /// A method longer than this is none that anybody implements (RFC 9112 section 3: 501).
    private static let longestMethod = 32

    private enum State: UInt8 {
        case start, emptyLineFeed, method, target, version, lineFeed, fields, complete
    }

    package private(set) var head = RequestHead()
    private let limits: HeadLimits
    private var state = State.start
    private var position = 0
    private var tokenStart = 0
    private var queryStart = 0
    private var skippedEmptyLine = false
    private var scanner = FieldLineScanner()
    private var rules = HeadRules(kind: .request)

    package init(limits: HeadLimits = HeadLimits()) {
        self.limits = limits
    }

    /// Forgets a head that was begun or completed, keeping the field array's capacity. `parse` does it itself after a completed head.
    package mutating func reset() {
        state = .start
        position = 0
        queryStart = 0
        skippedEmptyLine = false
        scanner = FieldLineScanner()
        rules = HeadRules(kind: .request)
        head.fields.removeAll()
        head.query = nil
    }

    /// `bytes` begin at the head's first byte and have at least those given before. After a fault the connection is done for;
    /// `reset` makes the parser usable again.
    package mutating func parse(_ bytes: Span<UInt8>) throws(HTTPFault) -> HeadResult {
        if state == .complete { reset() }
        let end = min(bytes.count, limits.bytes)
        let isComplete = try bytes.withUnsafeBufferPointer { (bytes) throws(HTTPFault) -> Bool in
            try scan(bytes, to: end)
        }
        if isComplete { return .complete(length: position) }
        if position >= limits.bytes { throw .headTooLarge }
        return .incomplete
    }

    private mutating func scan(_ bytes: UnsafeBufferPointer<UInt8>, to end: Int) throws(HTTPFault) -> Bool {
        while position < end {
            let byte = bytes[position]
            switch state {
            case .start:
                // One empty line before a request is left by some clients after a body (RFC 9112 section 2.2); not two.
                if byte == ASCII.carriageReturn, !skippedEmptyLine {
                    state = .emptyLineFeed
                    position += 1
                } else {
                    tokenStart = position
                    state = .method
                }
            case .emptyLineFeed:
                guard byte == ASCII.lineFeed else { throw .bareCarriageReturn }
                skippedEmptyLine = true
                position += 1
                state = .start
            case .method:
                try scanMethod(bytes, to: end)
            case .target:
                try scanTarget(bytes, to: end)
            case .version:
                if try VersionRule.scan(bytes, at: &position, from: tokenStart, version: &rules.version) { state = .lineFeed }
            case .lineFeed:
                guard byte == ASCII.lineFeed else { throw .bareCarriageReturn }
                position += 1
                state = .fields
            case .fields:
                if try scanFields(bytes, to: end) { return true }
            case .complete:
                return true
            }
        }
        return false
    }

    private mutating func scanMethod(_ bytes: UnsafeBufferPointer<UInt8>, to end: Int) throws(HTTPFault) {
        while position < end, ASCII.isToken(bytes[position]) {
            position += 1
            if position - tokenStart > Self.longestMethod { throw .methodTooLong }
        }
        guard position < end else { return }
        if bytes[position] == ASCII.lineFeed { throw .bareLineFeed }
        guard bytes[position] == ASCII.space, position > tokenStart else { throw .badMethod }
        head.methodRange = tokenStart..<position
        head.method = HTTPMethod(bytes, head.methodRange)
        if head.method == .connect { throw .connectMethod }
        position += 1
        tokenStart = position
        state = .target
    }

    private mutating func scanTarget(_ bytes: UnsafeBufferPointer<UInt8>, to end: Int) throws(HTTPFault) {
        while position < end {
            let byte = bytes[position]
            if byte == ASCII.space { break }
            if position == tokenStart {
                guard byte == 0x2F || byte == 0x2A && head.method == .options else {
                    throw byte > 0x20 && byte < 0x7F ? .absoluteTarget : Self.fault(inTarget: byte)
                }
            } else if bytes[tokenStart] == 0x2A {
                throw .badTarget
            }
            // A fragment is never sent; a control, a space or a byte above ASCII must be percent-encoded.
            guard byte > 0x20, byte < 0x7F, byte != 0x23 else { throw Self.fault(inTarget: byte) }
            if byte == 0x3F, queryStart == 0 { queryStart = position + 1 }
            position += 1
        }
        guard position < end else { return }
        guard position > tokenStart else { throw .badRequestLine }
        head.target = tokenStart..<position
        head.path = tokenStart..<(queryStart > 0 ? queryStart - 1 : position)
        head.query = queryStart > 0 ? queryStart..<position : nil
        position += 1
        tokenStart = position
        state = .version
    }

    private static func fault(inTarget byte: UInt8) -> HTTPFault {
        switch byte {
        case ASCII.lineFeed: .bareLineFeed
        case ASCII.carriageReturn, ASCII.tab: .badRequestLine
        default: .badTarget
        }
    }

    private mutating func scanFields(_ bytes: UnsafeBufferPointer<UInt8>, to end: Int) throws(HTTPFault) -> Bool {
        while true {
            switch try scanner.scan(bytes, from: &position, to: end) {
            case .needsMore:
                return false
            case .field:
                guard head.fields.count < limits.fields else { throw .tooManyFields }
                let known = HTTPFieldName.known(bytes, scanner.name)
                if let known { try rules.fieldRead(known, bytes, scanner.value) }
                head.fields.append(HTTPField(known: known, name: scanner.name, value: scanner.value))
            case .end:
                try rules.headEnded()
                complete()
                return true
            }
        }
    }

    private mutating func complete() {
        head.version = rules.version
        head.framing = rules.isChunked ? .chunked : rules.contentLength.map { .length($0) } ?? .none
        head.isPersistent = rules.isPersistent
        head.wantsUpgrade = rules.connectionUpgrades
        head.expectsContinue = rules.expectsContinue
        head.length = position
        state = .complete
    }
}
