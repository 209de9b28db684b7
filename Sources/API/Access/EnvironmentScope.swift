// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Store

/// An environment together with what the caller may do in it.
struct EnvironmentScope: Sendable {
    let record: EnvironmentRecord
    let access: EnvironmentAccess

    /// For lists and snapshots, which are then cut to the names that may be read.
    func requireRead() throws(Problem) {
        if !access.canReadSomething { throw .notGranted("read") }
    }

    /// For one entry, before it is looked up: the answer must not tell whether it exists.
    func requireRead(_ name: String) throws(Problem) {
        try access.requireRead(name)
    }

    /// For several entries at once; which names may be written is asked when they are known.
    func requireWrite() throws(Problem) {
        if !access.canWriteSomething { throw .notGranted("write") }
    }

    func requireWrite(_ name: String) throws(Problem) {
        if access.canWrite(name) { return }
        throw access.knows(name) ? .notGranted("write") : .notFound
    }

    /// Whether watchers with this token would see it, value and all.
    func reveals(_ name: String, _ kind: EntryKind) -> Bool {
        access.visibility.shows(name, kind: kind)
    }
}

extension EnvironmentAccess {
    func requireRead(_ name: String) throws(Problem) {
        if canRead(name) { return }
        throw knows(name) ? .notGranted("read") : .notFound
    }

    /// Some grant reaches the name, whatever it allows.
    fileprivate func knows(_ name: String) -> Bool {
        canRead(name) || canWrite(name) || isAdmin
    }
}
