// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Hummingbird

/// The query of one request, read strictly: a parameter that the route doesn't know, that comes twice or isn't valid percent-encoding
/// is refused by name, so that a typo never passes for an absent parameter.
struct QueryParameters {
    private var values: [String: String] = [:]

    init(_ request: Request, allowed: Set<String>) throws(Problem) {
        // A plus is a plus: only HTML forms mean a blank by it, and these are no forms.
        for pair in (request.uri.query ?? "").split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = parts[0].removingPercentEncoding, let value = (parts.count > 1 ? parts[1] : "").removingPercentEncoding else {
                throw Problem(.malformedRequest, "The query is not valid percent-encoding.")
            }
            if !allowed.contains(name) {
                let known = allowed.isEmpty ? "none" : allowed.sorted().joined(separator: ", ")
                throw Problem(.unknownParameter, "There is no parameter `\(name.prefix(64))` here; allowed: \(known).")
                    .with { $0.faults = [FieldFault("?\(name.prefix(64))", "is unknown")] }
            }
            if values.updateValue(value, forKey: name) != nil { throw .invalidParameter(name, "comes twice") }
        }
    }

    /// As sent, decoded; nil where it is absent.
    func text(_ name: String) -> String? { values[name] }

    func integer(_ name: String, in range: ClosedRange<Int>) throws(Problem) -> Int? {
        guard let text = values[name] else { return nil }
        // Int accepts a sign; a parameter is digits only.
        guard text.utf8.allSatisfy({ $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }), let value = Int(text), range.contains(value)
        else { throw .invalidParameter(name, "must be a whole number from \(range.lowerBound) to \(range.upperBound)") }
        return value
    }

    /// Separated by commas. Empty elements stay, so that the caller can refuse them.
    func list(_ name: String) -> [String]? {
        values[name]?.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    }
}
