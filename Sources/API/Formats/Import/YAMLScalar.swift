// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Yams

/// What the value of one entry is, as the YAML library reads it. The literal text counts, whatever a schema takes it for: `8080`, `yes`.
enum YAMLScalar: Equatable {
    case text(String)
    case null
    case fault(String)

    /// The plain spellings of null in YAML 1.1 and 1.2.
    private static let nulls: Set<String> = ["", "~", "null", "Null", "NULL"]

    /// - Parameter entry: the lines of one `NAME: value`, where the value begins as a scalar, at `value`.
    static func read(_ entry: ArraySlice<UInt8>, value: Int) -> YAMLScalar {
        // Foundation, with which the library makes its texts, drops a U+FEFF that begins one. Only an escape can bring it here, so
        // there is always something before it.
        let isEscaped = entry[value] == UInt8(ascii: "\"")
        let text = isEscaped ? entry[...value] + "x".utf8 + entry[(value + 1)...] : entry
        do {
            // Named, because the library's default asks the process's environment.
            let parser = try Yams.Parser(yaml: String(decoding: text, as: UTF8.self), resolver: .basic, encoding: .utf8)
            guard case .mapping(let pairs)? = try parser.nextRoot(), pairs.count == 1, case .scalar(let scalar)? = pairs.first?.value,
                try parser.nextRoot() == nil
            else { return .fault("is not one NAME: value; put the value in double quotes") }
            if isEscaped { return .text(String(decoding: scalar.string.utf8.dropFirst(), as: UTF8.self)) }
            return scalar.style == .plain && nulls.contains(scalar.string) ? .null : .text(scalar.string)
        } catch {
            return .fault("is not YAML (\(reason(error))); put the value in double quotes")
        }
    }

    /// The library's own words, without what it would add of the document.
    private static func reason(_ error: any Error) -> String {
        switch error as? YamlError {
        case .scanner(_, let problem, _, _)?, .parser(_, let problem, _, _)?, .composer(_, let problem, _, _)?: problem
        case .reader?: "a control character must be written as an escape"
        case _: "it can't be read"
        }
    }
}
