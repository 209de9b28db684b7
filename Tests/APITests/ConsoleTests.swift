// Keyvane
// SPDX-License-Identifier: Apache-2.0

import API
import Foundation
import TestSupport
import Testing

/// The console as files; scripts/check-console looks at it in a browser.
@Suite struct ConsoleTests {
    /// What of it lies in the sources, by its path below `Assets`.
    private static func sources() throws -> [String: [UInt8]] {
        let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../Sources/API/Console/Assets").standardized
        let paths = try FileManager.default.subpathsOfDirectory(atPath: root.path).filter { $0.contains(".") }
        return try Dictionary(uniqueKeysWithValues: paths.map { ($0, Array(try Data(contentsOf: root.appending(path: $0)))) })
    }

    @Test func everyFileIsServedAsItIs() async throws {
        let sources = try Self.sources()
        #expect(sources.count > 20)
        try await withAPI { api in
            for (path, bytes) in sources {
                let answer = try await api.http(nil).call("GET", path == "index.html" ? "/console" : "/console/\(path)")
                #expect(answer.status == 200, "\(path)")
                // Compared outside of the macro, which would print both.
                let isSame = answer.text == String(decoding: bytes, as: UTF8.self)
                #expect(isSame, "\(path)")
                let type = path.hasSuffix(".js") ? "text/javascript" : path.hasSuffix(".css") ? "text/css" : "text/html"
                #expect(answer.fields["content-type"] == "\(type); charset=utf-8", "\(path)")
                #expect(answer.fields["cache-control"] == "no-cache", "\(path)")
                #expect(answer.fields["x-content-type-options"] == "nosniff", "\(path)")
                let policy = answer.fields["content-security-policy"] ?? ""
                #expect(policy.hasPrefix("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"), "\(path)")
                #expect(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "\(path)")
            }
        }
    }

    @Test func nothingIsInlineAndNothingComesFromElsewhere() throws {
        for (path, bytes) in try Self.sources() {
            let text = String(decoding: bytes, as: UTF8.self)
            #expect(text.contains("Keyvane") && text.contains("SPDX-License-Identifier: Apache-2.0"), "\(path)")
            #expect(!text.contains("innerHTML") && !text.contains("eval("), "\(path)")
            #expect(!text.contains("https://") && !text.replacing("http://www.w3.org/2000/svg", with: "").contains("http://"), "\(path)")
            if path == "index.html" { #expect(!text.contains("<style") && !text.contains(" style=") && !text.contains(" onclick=")) }
        }
    }

    @Test func whoHasAFileIsNotSentItAgain() async throws {
        try await withAPI { api in
            let first = try await api.http(nil).call("GET", "/console/app/main.js")
            let tag = try #require(first.fields["etag"])
            for seen in [tag, "W/\(tag)", "\"other\", \(tag)", "*"] {
                let again = try await api.http(nil).call("GET", "/console/app/main.js", fields: [("If-None-Match", seen)])
                #expect(again.status == 304)
                #expect(again.fields["etag"] == tag)
                #expect(again.text.isEmpty)
            }
            #expect(try await api.http(nil).call("GET", "/console/app/main.js", fields: [("If-None-Match", "\"other\"")]).status == 200)
            #expect(try await api.http(nil).call("GET", "/console", fields: [("If-None-Match", tag)]).status == 200)
        }
    }

    @Test func whatIsNotAFileOfItIsNotThere() async throws {
        try await withAPI { api in
            for path in [
                "/console/app/other.js", "/console/index.html", "/console/app/..%2Findex.html", "/console/app/main.js/x", "/console/app",
            ] {
                let answer = try await api.http(nil).call("GET", path)
                #expect(answer.status == 404, "\(path)")
            }
            let post = try await api.http(nil).call("POST", "/console")
            #expect(post.status == 405)
        }
    }
}
