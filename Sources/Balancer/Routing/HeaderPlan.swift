// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Wire

/// Header rules of one direction as bytes, made once when the settings are adopted. Immutable; costs a message nothing while it is empty.
final class HeaderPlan: Sendable {
    static let none = HeaderPlan(HeaderRules.Changes())

    private struct Default: Sendable {
        let name: [UInt8]
        let line: [UInt8]
    }

    /// Fields of the message that go: those removed, and those set to something else. Known ones by their bit, others by name.
    private let droppedKnown: UInt64
    private let droppedNames: [[UInt8]]
    /// What is set and added, in this order.
    private let lines: [UInt8]
    /// Added where the message has no field of the name.
    private let defaults: [Default]
    let isEmpty: Bool
    /// The rules say themselves what caches may do, or how long to insist on TLS: then nothing of ours is added to that.
    let replacesCacheControl: Bool
    let setsTransportSecurity: Bool
    /// Their `Cache-Control` keeps shared caches away.
    let isPrivate: Bool

    init(_ changes: HeaderRules.Changes, defaults preset: SecurityHeaders = .off) {
        let fields = changes.set + changes.add
        let dropped = changes.remove + changes.set.map(\.name)
        let known = dropped.compactMap { HTTPFieldName($0) }
        droppedKnown = known.reduce(0) { $0 | 1 << UInt64($1.rawValue) }
        droppedNames = dropped.filter { HTTPFieldName($0) == nil }.map { Array($0.lowercased().utf8) }
        var lines: [UInt8] = []
        for field in fields { HeadWriter.field(field.name, field.value, into: &lines) }
        self.lines = lines
        // A rule about the same field says more than a preset does, also where it only removes it.
        let named = Set((dropped + fields.map(\.name)).map { $0.lowercased() })
        defaults = preset.fields.filter { !named.contains($0.name.lowercased()) }.map { field in
            var line: [UInt8] = []
            HeadWriter.field(field.name, field.value, into: &line)
            return Default(name: Array(field.name.lowercased().utf8), line: line)
        }
        isEmpty = dropped.isEmpty && fields.isEmpty && defaults.isEmpty
        replacesCacheControl = known.contains(.cacheControl)
        setsTransportSecurity = fields.contains { HTTPFieldName($0.name) == .strictTransportSecurity }
        isPrivate = fields.contains { field in
            let value = Array(field.value.utf8)
            return HTTPFieldName(field.name) == .cacheControl && CacheControl.keepsSharedCachesAway(value.span, 0..<value.count)
        }
    }

    /// The lines of a preset for answers of our own.
    static func lines(of preset: SecurityHeaders) -> [UInt8] {
        HeaderPlan(HeaderRules.Changes(), defaults: preset).defaults.flatMap(\.line)
    }

    func drops(_ field: HTTPField, in bytes: Span<UInt8>) -> Bool {
        if let known = field.known { return droppedKnown & (1 << UInt64(known.rawValue)) != 0 }
        return droppedNames.contains { Self.isEqual(bytes, field.name, $0) }
    }

    /// Writes what the rules bring; `fields` are the message's own.
    func append(to out: inout [UInt8], fields: HTTPFields, in bytes: Span<UInt8>) {
        for entry in defaults where !fields.contains(where: { Self.isEqual(bytes, $0.name, entry.name) }) {
            out.append(contentsOf: entry.line)
        }
        out.append(contentsOf: lines)
    }

    private static func isEqual(_ bytes: Span<UInt8>, _ range: Range<Int>, _ lowercased: [UInt8]) -> Bool {
        guard range.count == lowercased.count else { return false }
        for index in lowercased.indices {
            let byte = bytes[range.lowerBound + index]
            guard (byte &- 0x41 < 26 ? byte | 0x20 : byte) == lowercased[index] else { return false }
        }
        return true
    }
}

extension SecurityHeaders {
    fileprivate var fields: [HeaderRules.Changes.Field] {
        switch self {
        case .off: []
        case .classic: Self.common + [.init("X-XSS-Protection", "1; mode=block")]
        // Browsers' filters are gone or did harm: 0 turns off what is left of them.
        case .modern: Self.common + [.init("X-XSS-Protection", "0"), .init("Referrer-Policy", "strict-origin-when-cross-origin")]
        }
    }

    private static let common: [HeaderRules.Changes.Field] = [.init("X-Content-Type-Options", "nosniff"), .init("X-Frame-Options", "DENY")]
}
