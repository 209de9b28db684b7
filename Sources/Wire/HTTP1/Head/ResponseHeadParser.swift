// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// The client's side of `RequestHeadParser`, with the same contract: scanned once, in place, strictly. Owned by an upstream
/// connection. Interim responses (1xx) are heads of their own: read on until a final one comes.
package struct ResponseHeadParser: Sendable {
    private enum State: UInt8 {
        case version, status, reason, lineFeed, fields, complete
    }

    package private(set) var head = ResponseHead()
    private let limits: HeadLimits
    private var state = State.version
    private var position = 0
    private var tokenStart = 0
    private var scanner = FieldLineScanner()
    private var rules = HeadRules(kind: .response)

    package init(limits: HeadLimits = HeadLimits()) {
        self.limits = limits
    }

    package mutating func reset() {
        state = .version
        position = 0
        tokenStart = 0
        scanner = FieldLineScanner()
        rules = HeadRules(kind: .response)
        head.fields.removeAll()
        head.status = 0
    }

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
            case .version:
                try scanVersion(bytes)
            case .status:
                try scanStatus(byte)
            case .reason:
                FieldLineScanner.skipValue(bytes, from: &position, to: end)
                if position < end { try reasonEnded(bytes[position]) }
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

    private mutating func scanVersion(_ bytes: UnsafeBufferPointer<UInt8>) throws(HTTPFault) {
        guard position == 8 else {
            do throws(HTTPFault) {
                try VersionRule.scanCharacter(bytes, at: &position, from: 0, version: &rules.version)
            } catch {
                throw error == .badRequestLine ? .badStatusLine : error
            }
            return
        }
        guard bytes[position] == ASCII.space else { throw .badStatusLine }
        position += 1
        tokenStart = position
        state = .status
    }

    /// Three digits, then a space and the reason, or (some servers) the line's end at once.
    private mutating func scanStatus(_ byte: UInt8) throws(HTTPFault) {
        if position - tokenStart < 3 {
            guard ASCII.isDigit(byte) else { throw .badStatusLine }
            head.status = head.status * 10 + Int(byte - 0x30)
            position += 1
            return
        }
        guard (100...599).contains(head.status) else { throw .badStatusLine }
        switch byte {
        case ASCII.space:
            position += 1
            tokenStart = position
            state = .reason
        case ASCII.carriageReturn:
            tokenStart = position
            state = .reason
        case ASCII.lineFeed: throw .bareLineFeed
        default: throw .badStatusLine
        }
    }

    private mutating func reasonEnded(_ byte: UInt8) throws(HTTPFault) {
        switch byte {
        case ASCII.carriageReturn:
            head.reason = tokenStart..<position
            position += 1
            state = .lineFeed
        case ASCII.lineFeed: throw .bareLineFeed
        default: throw .badStatusLine
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
                complete()
                return true
            }
        }
    }

    private mutating func complete() {
        head.version = rules.version
        head.contentLength = rules.contentLength
        head.isChunked = rules.isChunked
        head.connectionPersists = rules.isPersistent
        head.connectionUpgrades = rules.connectionUpgrades
        head.length = position
        state = .complete
    }
}
