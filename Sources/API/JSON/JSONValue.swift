// Keyvane
// SPDX-License-Identifier: Apache-2.0

// JSON as text and as values, without Codable: strict on the way in, ordered on the way out.
// Flows through: a body's bytes into a `JSONValue` (JSONParser), answers straight into a buffer (JSONWriter).
// Owner: the one request that reads or writes; nothing is shared or kept.
// Must hold: what the parser takes has one meaning for every reader (RFC 8259 with I-JSON's rules on names and numbers, RFC 7493);
// what the writer makes has the same bytes for the same values.

/// A parsed JSON text. Members keep their order and are unique: the parser refuses a name that comes twice.
package enum JSONValue: Equatable, Sendable {
    case null
    case bool(Bool)
    /// Written without fraction and exponent, and within 64 bits.
    case integer(Int64)
    case number(Double)
    case string(String)
    case array([JSONValue])
    case object([JSONMember])

    /// As it is named in a fault: "must be text, not a number".
    var kindName: String {
        switch self {
        case .null: "null"
        case .bool: "a boolean"
        case .integer, .number: "a number"
        case .string: "text"
        case .array: "an array"
        case .object: "an object"
        }
    }
}

package struct JSONMember: Equatable, Sendable {
    package let name: String
    package let value: JSONValue

    package init(name: String, value: JSONValue) {
        self.name = name
        self.value = value
    }
}
