// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Store

/// What lists show: everything, or just these slugs.
enum SlugFilter: Equatable, Sendable {
    case all
    case only([String])

    var slugs: [String]? {
        switch self {
        case .all: nil
        case .only(let slugs): slugs
        }
    }
}

extension TokenRecord {
    /// To read the hierarchy a grant must allow reading something in it, or administering it.
    private static let lookingPermissions: Set<Permission> = [.read, .readSecrets, .admin]

    private var lookingGrants: [Grant] { grants.filter { !$0.permissions.isDisjoint(with: Self.lookingPermissions) } }

    /// - Throws: 403 for a token that may only write.
    func visibleWorkspaces() throws(Problem) -> SlugFilter {
        let grants = lookingGrants
        if grants.isEmpty { throw .notGranted("read") }
        return grants.contains { $0.workspace == "*" } ? .all : .only(Set(grants.map(\.workspace)).sorted())
    }

    /// Also what a single workspace asks: who sees any of its projects may see it.
    func visibleProjects(in workspace: String) throws(Problem) -> SlugFilter {
        if !knows(workspace: workspace) { throw .notFound }
        let grants = lookingGrants.filter { $0.reaches(workspace) }
        if grants.isEmpty { throw .notGranted("read") }
        return grants.contains { $0.project == nil } ? .all : .only(Set(grants.compactMap(\.project)).sorted())
    }

    /// Also what a single project asks.
    func visibleEnvironments(in workspace: String, _ project: String) throws(Problem) -> SlugFilter {
        if !knows(workspace: workspace, project: project) { throw .notFound }
        let grants = lookingGrants.filter { $0.reaches(workspace) && ($0.project == nil || $0.project == project) }
        if grants.isEmpty { throw .notGranted("read") }
        return grants.contains { $0.environment == nil } ? .all : .only(Set(grants.compactMap(\.environment)).sorted())
    }

    /// One environment's record.
    func requireLook(_ access: EnvironmentAccess) throws(Problem) {
        if !access.canReadSomething && !access.isAdmin { throw .notGranted("read") }
    }

    /// Creating workspaces, and looking at instances: there is no place in the path that the token may not know of, so it is never 404.
    func requireAdministersEverything() throws(Problem) {
        if !administersEverything { throw .notGranted("admin") }
    }

    func requireAdministers(workspace: String) throws(Problem) {
        if administers(workspace: workspace) { return }
        throw knows(workspace: workspace) ? .notGranted("admin") : .notFound
    }

    func requireAdministers(workspace: String, project: String) throws(Problem) {
        if administers(workspace: workspace, project: project) { return }
        throw knows(workspace: workspace, project: project) ? .notGranted("admin") : .notFound
    }
}

extension Grant {
    fileprivate func reaches(_ workspace: String) -> Bool {
        self.workspace == "*" || self.workspace == workspace
    }
}
