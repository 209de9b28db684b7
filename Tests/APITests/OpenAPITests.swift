// Keyvane
// SPDX-License-Identifier: Apache-2.0

import API
import TestSupport
import Testing
import Yams

/// The document against the code; scripts/check-openapi holds the running server against the document.
@Suite struct OpenAPITests {
    private struct Operation: Hashable, CustomStringConvertible {
        let method: String
        let path: String

        var description: String { "\(method) \(path)" }
    }

    @Test func everybodyGetsIt() async throws {
        try await withAPI { api in
            let answer = try await api.http(nil).call("GET", "/openapi.yaml")
            #expect(answer.status == 200)
            #expect(answer.fields["content-type"] == "application/yaml; charset=utf-8")
            #expect(answer.fields["cache-control"] == "no-cache")
            let document = try Self.document(answer)
            #expect(document["openapi"]?.string == "3.1.0")
        }
    }

    @Test func itsPathsAreTheRoutes() async throws {
        try await withAPI { api in
            let document = try Self.document(try await api.http(nil).call("GET", "/openapi.yaml"))
            var documented: Set<Operation> = []
            for (path, item) in document["paths"]?.mapping ?? [:] {
                for (method, _) in item.mapping ?? [:] where method.string != "parameters" {
                    documented.insert(Operation(method: method.string?.uppercased() ?? "", path: path.string ?? ""))
                }
            }
            let served = Set(api.service.routePaths.map { Operation(method: $0.method, path: $0.path) })
            #expect(served.subtracting(documented).map(\.description).sorted() == [], "served, but not documented")
            #expect(documented.subtracting(served).map(\.description).sorted() == [], "documented, but not served")
        }
    }

    @Test func itsCodesAreOurs() async throws {
        try await withAPI { api in
            let document = try Self.document(try await api.http(nil).call("GET", "/openapi.yaml"))
            let schemas = document["components"]?["schemas"]
            let codes = schemas?["ProblemCode"]?["enum"]?.sequence?.compactMap(\.string) ?? []
            #expect(codes.sorted() == ProblemCode.allCases.map(\.rawValue).sorted())
            // Each code is also said of exactly one status.
            var answered: [String] = []
            for (_, response) in document["components"]?["responses"]?.mapping ?? [:] {
                let schema = response["content"]?["application/problem+json"]?["schema"]?["allOf"]?[1]?["properties"]?["code"]
                answered += schema?["enum"]?.sequence?.compactMap(\.string) ?? []
            }
            #expect(answered.sorted() == codes.sorted())
        }
    }

    @Test func itsReferencesLeadSomewhere() async throws {
        try await withAPI { api in
            let document = try Self.document(try await api.http(nil).call("GET", "/openapi.yaml"))
            let references = Self.references(document)
            #expect(!references.isEmpty)
            for reference in Set(references) {
                let parts = reference.split(separator: "/")
                #expect(parts.first == "#", "\(reference)")
                var target: Node? = document
                for part in parts.dropFirst() { target = target?[String(part)] }
                #expect(target != nil, "\(reference)")
            }
            // And nothing lies there that nobody refers to.
            for kind in ["parameters", "headers", "responses", "schemas"] {
                for (name, _) in document["components"]?[kind]?.mapping ?? [:] {
                    let reference = "#/components/\(kind)/\(name.string ?? "")"
                    #expect(references.contains(reference) || name.string == "MethodNotAllowed", "\(reference)")
                }
            }
        }
    }

    private static func document(_ answer: PlainAnswer) throws -> Node {
        try #require(try Yams.compose(yaml: answer.text))
    }

    private static func references(_ node: Node) -> [String] {
        switch node {
        case .mapping(let mapping):
            mapping.flatMap { key, value in
                if key.string == "$ref", let text = value.string { return [text] }
                return references(value)
            }
        case .sequence(let sequence): sequence.flatMap(references)
        case .scalar, .alias: []
        }
    }
}
