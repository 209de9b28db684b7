// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// One thing in a configuration that can't be used.
package struct ConfigurationFault: Sendable, Hashable, CustomStringConvertible {
    /// nil for what no file says.
    package var file: String?
    package var line: Int?
    /// `pools.api.servers[0].weight`; empty for the whole.
    package let key: String
    /// What is wrong and what is allowed. Nothing that could be a secret.
    package let problem: String

    package init(_ key: String, _ problem: String, file: String? = nil, line: Int? = nil) {
        self.file = file
        self.line = line
        self.key = key
        self.problem = problem
    }

    package var description: String {
        let place = [file, line.map(String.init)].compactMap { $0 }.joined(separator: ":")
        return [place, key, problem].filter { !$0.isEmpty }.joined(separator: ": ")
    }
}

/// The faults found so far. Owned by the call that judges.
struct FaultList {
    private(set) var all: [ConfigurationFault] = []

    mutating func add(_ key: String, _ problem: String) {
        all.append(ConfigurationFault(key, problem))
    }

    mutating func require(_ condition: Bool, _ key: String, _ problem: @autoclosure () -> String) {
        if !condition { add(key, problem()) }
    }

    /// Refuses the whole if there is one.
    func settle() throws(BalancerError) {
        if !all.isEmpty { throw BalancerError(all) }
    }
}
