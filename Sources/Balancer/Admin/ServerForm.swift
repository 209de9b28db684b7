// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Wire

/// The manager's form of one server as commands.
enum ServerForm {
    /// Fields that are not sent are not changed; an empty route takes the route away.
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
        return commands
    }
}

extension AdministrativeState {
    static var choices: String { allCases.map(\.rawValue).joined(separator: ", ") }
}
