// Keyvane
// SPDX-License-Identifier: Apache-2.0

import API
import Foundation
import Store
import TestSupport
import Testing

@Suite(.serialized) struct ConnectTokenTests {
    private func make(_ client: APIClient, _ body: String = #"{"ttl":600}"#) async throws -> String {
        let answer = try await client.call("POST", "/v1/connect-tokens", body: body)
        #expect(answer.status == 201, "\(answer.text)")
        #expect(answer.fields["cache-control"] == "no-store")
        return try #require(answer["token"]?.text)
    }

    private func grant(_ workspace: String, _ permissions: String, names: String = "") -> String {
        "{\"workspace\":\"\(workspace)\",\(names)\"permissions\":[\(permissions)]}"
    }

    @Test func itMayWhatItsParentMayAndActsInItsName() async throws {
        try await withAPI { api in
            _ = try await api.seed()
            let (record, text) = try await api.store.createToken(
                description: "",
                grants: [Grant(workspace: "acme", permissions: [.read, .write, .admin])],
                expiresAt: nil,
                createdBy: "root"
            )
            let parent = api.http(text)
            let child = api.http(try await make(parent))
            let put = try await child.call("PUT", TestAPI.path + "/variables/A", body: #"{"value":"1"}"#)
            #expect(put["updatedBy"]?.text == "token:\(record.id)")
            let whoami = try await child.call("GET", "/v1/whoami")
            #expect(whoami["id"]?.text == record.id)
            #expect(whoami["expiresAt"]?.text != nil)
            // It makes nothing that outlives it.
            #expect(try await child.call("POST", "/v1/connect-tokens", body: #"{"ttl":10}"#).status == 403)
            let body = #"{"grants":[{"workspace":"acme","permissions":["read"]}]}"#
            #expect(try await child.call("POST", "/v1/tokens", body: body).status == 403)
            #expect(try await child.call("GET", "/v1/tokens").status == 403)
            #expect(try await child.call("DELETE", "/v1/tokens/\(record.id)").status == 403)
            #expect(try await parent.call("POST", "/v1/tokens", body: body).status == 201)
        }
    }

    @Test func itIsNeverWiderThanItsParentNotEvenLater() async throws {
        try await withAPI { api in
            _ = try await api.seed()
            let (record, text) = try await api.store.createToken(
                description: "",
                grants: [Grant(workspace: "acme", permissions: [.read, .write])],
                expiresAt: nil,
                createdBy: "root"
            )
            let parent = api.http(text)
            for (grants, pointers) in [
                (grant("acme", "\"admin\""), ["/grants/0"]), (grant("*", "\"read\""), ["/grants/0"]),
                ("\(grant("acme", "\"read\"")),\(grant("other", "\"read\""))", ["/grants/1"]),
            ] {
                let refused = try await parent.call("POST", "/v1/connect-tokens", body: "{\"ttl\":60,\"grants\":[\(grants)]}")
                #expect(refused.status == 403)
                #expect(refused["errors"]?.texts("pointer") == pointers)
            }
            let narrow = api.http(
                try await make(parent, "{\"ttl\":60,\"grants\":[\(grant("acme", "\"read\",\"write\"", names: "\"names\":[\"APP_*\"],"))]}")
            )
            let wide = api.http(try await make(parent))
            let put = #"{"value":"1"}"#
            #expect(try await narrow.call("PUT", TestAPI.path + "/variables/APP_A", body: put).status == 201)
            #expect(try await narrow.call("PUT", TestAPI.path + "/variables/B", body: put).status == 404)
            #expect(try await wide.call("PUT", TestAPI.path + "/variables/B", body: put).status == 201)
            // The parent loses `write`: so do both, at once.
            let less = "{\"grants\":[\(grant("acme", "\"read\""))]}"
            #expect(try await api.root.call("PATCH", "/v1/tokens/\(record.id)", body: less).status == 200)
            for client in [narrow, wide] {
                #expect(try await client.call("PUT", TestAPI.path + "/variables/APP_A", body: put).status == 403)
                #expect(try await client.call("GET", TestAPI.path + "/variables/APP_A").status == 200)
            }
            // The parent gains: what named its grants gains nothing.
            let more = "{\"grants\":[\(grant("*", "\"read\",\"write\",\"admin\""))]}"
            #expect(try await api.root.call("PATCH", "/v1/tokens/\(record.id)", body: more).status == 200)
            #expect(try await narrow.call("PUT", TestAPI.path + "/variables/B", body: put).status == 404)
            #expect(try await api.root.call("DELETE", "/v1/tokens/\(record.id)").status == 204)
            for client in [narrow, wide, parent] { #expect(try await client.call("GET", "/v1/whoami").status == 401) }
        }
    }

    @Test func itEndsWithItsParentAtTheLatest() async throws {
        try await withAPI { api in
            let soon = Date(timeIntervalSinceNow: 100)
            let (record, text) = try await api.store.createToken(description: "", grants: [.root], expiresAt: soon, createdBy: "root")
            let answer = try await api.http(text).call("POST", "/v1/connect-tokens", body: #"{"ttl":86400}"#)
            let end = try #require(answer["expiresAt"]?.text)
            #expect(end <= Timestamp(soon).description)
            let child = api.http(answer["token"]?.text)
            #expect(try await child.call("GET", "/v1/whoami").status == 200)
            let past = TokenChange(expiry: .at(Date(timeIntervalSinceNow: -1)))
            _ = try await api.store.changeToken(record, past, MutationOrigin(actor: "root"))
            // Nobody told this process: a second at most.
            _ = try await eventually("the child's end") { try await child.call("GET", "/v1/whoami").status == 401 ? true : nil }
        }
    }

    @Test func whatIsNotExactlyOursOpensNothing() async throws {
        try await withAPI { api in
            let good = try await make(api.root, #"{"ttl":60,"grants":[{"workspace":"acme","permissions":["read"]}]}"#)
            let parts = good.split(separator: ".").map(String.init)
            #expect(parts.count == 3)
            func header(_ json: String) -> String { encoded(json) }
            let claims = String(decoding: try #require(decoded(parts[1])), as: UTF8.self)
            let kid = String(decoding: try #require(decoded(parts[0])), as: UTF8.self)
            #expect(kid.contains(#""alg":"HS256""#) && kid.contains(#""kid":"one""#) && kid.contains(#""typ":"JWT""#))
            let wider = encoded(claims.replacing("acme", with: "*"))
            let bad = [
                "\(parts[0]).\(wider).\(parts[2])",
                "\(header(#"{"alg":"none","typ":"JWT","kid":"one"}"#)).\(wider).",
                "\(header(#"{"alg":"none","typ":"JWT"}"#)).\(parts[1]).",
                "\(header(#"{"alg":"HS512","typ":"JWT","kid":"one"}"#)).\(parts[1]).\(parts[2])",
                "\(header(#"{"alg":"HS256","typ":"at+jwt","kid":"one"}"#)).\(parts[1]).\(parts[2])",
                "\(header(#"{"alg":"HS256","typ":"JWT","kid":"two"}"#)).\(parts[1]).\(parts[2])",
                "\(header(#"{"alg":"HS256","typ":"JWT","kid":"one","crit":["exp"]}"#)).\(parts[1]).\(parts[2])",
                "\(parts[0]).\(parts[1]).", "\(parts[0]).\(parts[1])", "..", "\(good).x", "\(parts[0]).\(parts[1]).\(parts[2].dropLast())",
                good + String(repeating: "A", count: 5_000), "eyJ.eyJ.x",
            ]
            for text in bad {
                #expect(try await api.store.authenticate(text) == nil, "\(text.prefix(80))")
                #expect(try await api.http(text).call("GET", "/v1/whoami").status == 401)
            }
            for lifetime in [Duration.zero, .seconds(-60)] {
                let late = try await api.store.connectToken(of: .configuredRoot, grants: nil, lifetime: lifetime).text
                #expect(try await api.store.authenticate(late) == nil)
            }
            #expect(try await api.store.authenticate(good) != nil)
        }
    }

    @Test func itsOwnFaultsAreNamed() async throws {
        try await withAPI { api in
            for (body, pointer) in [
                ("{}", "/ttl"), (#"{"ttl":9}"#, "/ttl"), (#"{"ttl":86401}"#, "/ttl"), (#"{"ttl":"60"}"#, "/ttl"),
                (#"{"ttl":60,"grants":[]}"#, "/grants"), (#"{"ttl":60,"id":"x"}"#, "/id"),
            ] {
                let answer = try await api.root.call("POST", "/v1/connect-tokens", body: body)
                #expect(answer.status == 422, "\(body)")
                #expect(answer["errors"]?.texts("pointer") == [pointer], "\(body)")
            }
            // So many grants that no header could carry the token.
            let many = (0..<100).map { grant("workspace-\($0)-of-a-long-name-of-which-there-are-too-many", "\"read\"") }
            let answer = try await api.root.call(
                "POST",
                "/v1/connect-tokens",
                body: "{\"ttl\":60,\"grants\":[\(many.joined(separator: ","))]}"
            )
            #expect(answer.status == 422)
        }
    }

    private func encoded(_ text: String) -> String {
        Data(text.utf8).base64EncodedString().replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }

    private func decoded(_ text: String) -> Data? {
        let text = text.replacing("-", with: "+").replacing("_", with: "/")
        return Data(base64Encoded: text + String(repeating: "=", count: (4 - text.count % 4) % 4))
    }
}
