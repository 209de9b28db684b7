// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Wire

/// The manager's form of one server as commands.
enum ServerForm {
    /// Fields that are not sent are not changed; an empty route takes the route away. A form that asks for nothing is refused: whoever sent it
    /// meant something.
    static func commands(_ form: QueryParameters) throws(BalancerError) -> [ServerCommand] {
        var commands: [ServerCommand] = []
        if let text = form.first("state") {
            guard let state = AdministrativeState(rawValue: text) else {
                throw BalancerError(.configurationInvalid, "state: '\(text)' is none of: \(AdministrativeState.choices)")
            }
            return [.state(state)]
        }
        if let text = form.first("weight") {
            guard let weight = Int(text) else { throw BalancerError(.configurationInvalid, "weight: '\(text)' is no whole number") }
            commands.append(.weight(weight))
        }
        if let text = form.first("maxconn") {
            guard let limit = Int(text) else {
                throw BalancerError(.configurationInvalid, "maxconn: '\(text)' is no whole number; 0 is no limit")
            }
            commands.append(.maxConnections(limit))
        }
        if let route = form.first("route") { commands.append(.route(route.isEmpty ? nil : route)) }
        guard !commands.isEmpty else {
            throw BalancerError(
                .configurationInvalid,
                "state: is missing; send it (\(AdministrativeState.choices)), or weight, maxconn or route"
            )
        }
        return commands
    }

    /// A field that a form can't do without.
    static func required(_ name: String, _ form: QueryParameters) throws(BalancerError) -> String {
        guard let value = form.first(name), !value.isEmpty else { throw BalancerError(.configurationInvalid, "\(name): is missing") }
        return value
    }
}

extension AdministrativeState {
    static var choices: String { allCases.map(\.rawValue).joined(separator: ", ") }
}
