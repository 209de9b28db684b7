// Keyvane
// SPDX-License-Identifier: Apache-2.0

extension EnvironmentConfiguration {
    /// A value as a type; nil where the name isn't set.
    ///
    /// Whatever can be made of text is a type: `Int`, `Double`, `String`, your own enums. A `Bool` is also read from `1`, `0`, `yes`, `no`, `on` and `off`.
    ///
    /// - Throws: A ``ClientError`` with the code `invalid_value`, which names the entry and never its value.
    public func value<Value: LosslessStringConvertible>(
        _ name: String,
        as type: Value.Type = Value.self
    ) throws(ClientError) -> Value? {
        guard let text = self[name] else { return nil }
        if type == Bool.self, let flag = Self.flags[text.lowercased()] as? Value { return flag }
        guard let value = Value(text) else {
            throw ClientError(code: "invalid_value", message: "\(name) at revision \(revision) is no \(type): change its value.")
        }
        return value
    }

    /// A value that must be there.
    ///
    /// - Throws: A ``ClientError`` with the code `missing_value` or `invalid_value`.
    public func required<Value: LosslessStringConvertible>(
        _ name: String,
        as type: Value.Type = Value.self
    ) throws(ClientError) -> Value {
        guard let value = try value(name, as: type) else {
            throw ClientError(code: "missing_value", message: "\(name) is not set in \(environment) at revision \(revision): set it.")
        }
        return value
    }

    private static let flags = ["true": true, "1": true, "yes": true, "on": true, "false": false, "0": false, "no": false, "off": false]
}
