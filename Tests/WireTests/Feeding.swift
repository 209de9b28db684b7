// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Wire

/// The ways every parser is fed: as a whole, byte by byte, and cut in two at every place.
enum Feeding {
    /// Each element says where the pieces end.
    static func plans(for count: Int) -> [[Int]] {
        guard count > 0 else { return [[0]] }
        var plans = [[count], Array(1...count)]
        for cut in 1..<max(count, 2) where cut < count { plans.append([cut, count]) }
        return plans
    }

    /// The results of all plans, which must be one and the same.
    static func results<Result: Equatable>(of bytes: [UInt8], _ feed: ([Int]) -> Result) -> [Result] {
        var distinct: [Result] = []
        for plan in plans(for: bytes.count) {
            let result = feed(plan)
            if !distinct.contains(result) { distinct.append(result) }
        }
        return distinct
    }
}

/// What became of a head, with everything a caller can see of it.
enum HeadOutcome: Equatable, CustomStringConvertible {
    case incomplete
    case fault(HTTPFault)
    case request(RequestSummary)
    case response(ResponseSummary)

    var description: String {
        switch self {
        case .incomplete: "incomplete"
        case .fault(let fault): "fault \(fault)"
        case .request(let summary): "\(summary)"
        case .response(let summary): "\(summary)"
        }
    }
}

struct RequestSummary: Equatable {
    var length: Int
    var method: HTTPMethod
    var methodText: String
    var target: String
    var path: String
    var query: String?
    var version: HTTPVersion
    var fields: [String]
    var framing: BodyFraming
    var isPersistent: Bool
    var wantsUpgrade: Bool
    var expectsContinue: Bool

    init(_ head: RequestHead, _ bytes: Span<UInt8>) {
        length = head.length
        method = head.method
        methodText = bytes.string(head.methodRange)
        target = bytes.string(head.target)
        path = bytes.string(head.path)
        query = head.query.map { bytes.string($0) }
        version = head.version
        fields = fieldTexts(head.fields, bytes)
        framing = head.framing
        isPersistent = head.isPersistent
        wantsUpgrade = head.wantsUpgrade
        expectsContinue = head.expectsContinue
    }
}

struct ResponseSummary: Equatable {
    var length: Int
    var status: Int
    var reason: String
    var version: HTTPVersion
    var fields: [String]
    var getFraming: BodyFraming
    var headFraming: BodyFraming
    var isPersistent: Bool

    init(_ head: ResponseHead, _ bytes: Span<UInt8>) {
        length = head.length
        status = head.status
        reason = bytes.string(head.reason)
        version = head.version
        fields = fieldTexts(head.fields, bytes)
        getFraming = head.framing(for: .get)
        headFraming = head.framing(for: .head)
        isPersistent = head.isPersistent(for: .get)
    }
}

private func fieldTexts(_ fields: HTTPFields, _ bytes: Span<UInt8>) -> [String] {
    var texts: [String] = []
    for field in fields { texts.append("\(field.name(in: bytes))=\(field.value(in: bytes))") }
    return texts
}

/// Feeds one request head; stops at the first fault or at the head's end.
func requestOutcome(_ bytes: [UInt8], plan: [Int]? = nil, limits: HeadLimits = HeadLimits()) -> HeadOutcome {
    var parser = RequestHeadParser(limits: limits)
    for end in plan ?? [bytes.count] {
        let prefix = Array(bytes[..<end])
        do throws(HTTPFault) {
            if case .complete(let length) = try parser.parse(prefix.span) {
                precondition(length == parser.head.length)
                return .request(RequestSummary(parser.head, prefix.span))
            }
        } catch {
            return .fault(error)
        }
    }
    return .incomplete
}

func requestOutcomes(_ text: String, limits: HeadLimits = HeadLimits()) -> [HeadOutcome] {
    let bytes = [UInt8](text.utf8)
    return Feeding.results(of: bytes) { requestOutcome(bytes, plan: $0, limits: limits) }
}

func responseOutcome(_ bytes: [UInt8], plan: [Int]? = nil, limits: HeadLimits = HeadLimits()) -> HeadOutcome {
    var parser = ResponseHeadParser(limits: limits)
    for end in plan ?? [bytes.count] {
        let prefix = Array(bytes[..<end])
        do throws(HTTPFault) {
            if case .complete(let length) = try parser.parse(prefix.span) {
                precondition(length == parser.head.length)
                return .response(ResponseSummary(parser.head, prefix.span))
            }
        } catch {
            return .fault(error)
        }
    }
    return .incomplete
}

func responseOutcomes(_ text: String) -> [HeadOutcome] {
    let bytes = [UInt8](text.utf8)
    return Feeding.results(of: bytes) { responseOutcome(bytes, plan: $0) }
}
