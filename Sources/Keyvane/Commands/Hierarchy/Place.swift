// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Workspaces, projects and environments from a shell.
// Flows through: a path such as acme/web/production becomes the REST resource of its place and of the list that it stands in.
// Owner: each command makes its own.
// Must hold: every slug is checked before it becomes part of a path; nothing is deleted without a yes.

import ArgumentParser
import KeyvaneClient
import NIOHTTP1

/// A place in the hierarchy by its path: `acme`, `acme/web`, `acme/web/production`.
package struct Place: Equatable, CustomStringConvertible {
    package enum Level: Int {
        case workspace = 1, project, environment

        var example: String { ["acme", "acme/web", "acme/web/production"][rawValue - 1] }
    }

    private let slugs: [String]

    /// - Throws: where it has other parts than its level asks for.
    package init(_ text: String, _ level: Level) throws(SettingsError) {
        let slugs = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard slugs.count == level.rawValue, slugs.allSatisfy(Self.isSlug) else {
            throw SettingsError("'\(text)' is no \(level): write it like \(level.example), in small letters, digits and hyphens")
        }
        self.slugs = slugs
    }

    package var description: String { slugs.joined(separator: "/") }

    var slug: String { slugs[slugs.count - 1] }

    /// What it stands in, the outermost first.
    var parents: [Place] { (1..<slugs.count).map { Place(slugs: Array(slugs.prefix($0))) } }

    private init(slugs: [String]) {
        self.slugs = slugs
    }

    /// The place itself.
    package var path: String {
        switch slugs.count {
        case 1: "/v1/workspaces/\(slugs[0])"
        case 2: "/v1/projects/\(slugs[0])/\(slugs[1])"
        default: "/v1/projects/\(slugs[0])/\(slugs[1])/environments/\(slugs[2])"
        }
    }

    /// The list that it stands in.
    package var collection: String {
        switch slugs.count {
        case 1: "/v1/workspaces"
        case 2: "/v1/workspaces/\(slugs[0])/projects"
        default: "/v1/projects/\(slugs[0])/\(slugs[1])/environments"
        }
    }

    /// The list in it.
    package var children: String { slugs.count == 1 ? path + "/projects" : path + "/environments" }

    private static func isSlug(_ slug: String) -> Bool {
        (1...63).contains(slug.utf8.count) && !slug.hasPrefix("-") && !slug.hasSuffix("-")
            && slug.utf8.allSatisfy {
                ("a"..."z").contains(Character(Unicode.Scalar($0))) || ("0"..."9").contains(Character(Unicode.Scalar($0)))
                    || $0 == UInt8(ascii: "-")
            }
    }
}

/// What the service says of a place; an environment has a revision.
struct PlaceDescription: Codable {
    let slug: String
    let name: String?
    let description: String?
    let revision: Int?
    let updatedAt: String?
}

/// What the commands of all three levels do.
struct PlaceCommands {
    let client: ConfigurationClient

    func list(_ collection: String, asJSON: Bool) async throws {
        let places = try await client.all(collection, of: PlaceDescription.self)
        guard !asJSON else { return try Terminal.json(places) }
        let hasRevisions = places.contains { $0.revision != nil }
        let rows = places.map { place in
            [place.slug, place.name ?? ""] + (hasRevisions ? [place.revision.map(String.init) ?? ""] : []) + [place.updatedAt ?? ""]
        }
        let headings = ["SLUG", "NAME"] + (hasRevisions ? ["REVISION"] : []) + ["UPDATED"]
        Columns(headings, numeric: hasRevisions ? [2] : []).lines(rows).forEach(Terminal.line)
    }

    /// With its parents where they are missing.
    func createParents(of place: Place) async throws {
        for parent in place.parents {
            do throws(ClientError) {
                _ = try await client.call(.POST, parent.collection, body: ["slug": parent.slug])
                Terminal.note("made \(parent)")
            } catch {
                // One that is there already is all that was asked for.
                guard error.code == "already_exists" else { throw error }
            }
        }
    }

    func create(_ place: Place, name: String?, asJSON: Bool) async throws {
        var body = ["slug": place.slug]
        body["name"] = name
        let made = try await client.call(.POST, place.collection, body: body, as: PlaceDescription.self)
        guard !asJSON else { return try Terminal.json(made) }
        Terminal.line("made \(place)")
    }

    func delete(_ place: Place, force: Bool, yes: Bool) async throws {
        guard yes || Terminal.confirm("Delete \(place)\(force ? " and everything in it" : "")?") else {
            throw RunError("nothing was deleted: add --yes where nobody can be asked")
        }
        _ = try await client.call(.DELETE, place.path + (force ? "?force=true" : ""))
        Terminal.line("deleted \(place)")
    }
}
