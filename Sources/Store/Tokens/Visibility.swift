// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// A set of entry names, as grants and watchers' filters describe it.
package enum NameSet: Hashable, Sendable {
    case none
    case everything
    /// Sorted and without repeats, so that equal sets are equal values.
    case matching([NameGlob])

    /// Every name is matched with each: more than that from one caller would be work without end.
    package static let maximumGlobs = 100

    package init(_ globs: [NameGlob]) {
        if globs.contains(where: \.isEverything) {
            self = .everything
        } else {
            self = globs.isEmpty ? .none : .matching(Set(globs).sorted())
        }
    }

    package func contains(_ name: String) -> Bool {
        switch self {
        case .none: false
        case .everything: true
        case .matching(let globs): globs.contains { $0.matches(name) }
        }
    }

    package func union(_ other: NameSet) -> NameSet {
        switch (self, other) {
        case (.everything, _), (_, .everything): .everything
        case (.none, let set), (let set, .none): set
        case (.matching(let left), .matching(let right)): NameSet(left + right)
        }
    }
}

/// Which entries of an environment a reader gets. Readers with equal visibility get the same bytes.
package struct Visibility: Hashable, Sendable {
    /// Names whose variables are shown.
    package let variables: NameSet
    /// Names whose secrets are shown with their values.
    package let secrets: NameSet

    package init(variables: NameSet, secrets: NameSet) {
        self.variables = variables
        self.secrets = secrets
    }

    package static let everything = Visibility(variables: .everything, secrets: .everything)

    package func shows(_ name: String, kind: EntryKind) -> Bool {
        switch kind {
        case .variable: variables.contains(name)
        case .secret: secrets.contains(name)
        }
    }
}
