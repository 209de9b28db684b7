// Keyvane
// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Hummingbird

// What a request says before its body: parameters of the query, preconditions, the names of our own fields.
// Flows through: header fields and the query's text, into values that a route can switch over.
// Owner: the request's task. Must hold: nothing is guessed and nothing is ignored; what can't be read exactly is refused by name, because a
// condition or a parameter that is silently dropped changes what a request means.

/// `If-Match` and `If-None-Match` as RFC 9110, sections 13.1.1 and 13.1.2, write them. Our tags are a version or a revision in quotes;
/// compression on the way weakens them, so `W/"7"` is read as `"7"` everywhere.
enum EntityTagList: Equatable, Sendable {
    case any
    case tags([String])

    init?(_ field: HTTPField.Name, of request: Request) throws(Problem) {
        // Several lines of a list field are one list (RFC 9110, section 5.3).
        let lines = request.headers[values: field]
        if lines.isEmpty { return nil }
        let text = lines.joined(separator: ",")
        if text.filter({ $0 != " " && $0 != "\t" }) == "*" {
            self = .any
            return
        }
        guard let tags = Self.parse(text), !tags.isEmpty else {
            throw Problem(.malformedHeader, "`\(field.rawName)` must be * or a list of entity tags in quotes, as in \"7\".")
        }
        self = .tags(tags)
    }

    func contains(_ tag: String) -> Bool {
        switch self {
        case .any: true
        case .tags(let tags): tags.contains(tag)
        }
    }

    /// The numbers among the tags: a tag that isn't one of ours matches nothing.
    var numbers: [Int64]? {
        switch self {
        case .any: nil
        case .tags(let tags): tags.compactMap { Int64($0) }
        }
    }

    static func tag(_ number: some BinaryInteger) -> String { "\"\(number)\"" }

    /// Nil where it is no list of quoted tags. A tag may hold commas, so the text can't just be split at them.
    private static func parse(_ text: String) -> [String]? {
        var tags: [String] = []
        var rest = text[...]
        while true {
            // Empty elements are allowed between commas (RFC 9110, section 5.6.1.2).
            rest = rest.drop { $0 == " " || $0 == "\t" || $0 == "," }
            if rest.isEmpty { return tags }
            if rest.hasPrefix("W/") { rest = rest.dropFirst(2) }
            guard rest.first == "\"", let end = rest.dropFirst().firstIndex(of: "\"") else { return nil }
            tags.append(String(rest[rest.index(after: rest.startIndex)..<end]))
            rest = rest[rest.index(after: end)...].drop { $0 == " " || $0 == "\t" }
            guard rest.isEmpty || rest.first == "," else { return nil }
        }
    }
}
