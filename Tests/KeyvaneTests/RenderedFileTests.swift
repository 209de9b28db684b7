// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Keyvane
import KeyvaneClient
import Testing

/// Templates of `keyvane render` and `keyvane run --render`.
@Suite struct RenderedFileTests {
    private let folder = "/tmp/keyvane-render-\(getpid())-\(UUID().uuidString.prefix(8))"

    @Test(arguments: [
        ("{{ HOST }}", "a<b>&\"c\""), ("{{ NONE|default:\"x\" }}", "x"), ("{{ HOST|default:\"x\" }}", "a<b>&\"c\""),
        ("{{ HOST|required }}", "a<b>&\"c\""),
        ("{{ HOST|json }}", "\"a<b>&\\\"c\\\"\""), ("{{ PATH_|json }}", "\"/usr/bin\""), ("{{ NONE|json }}", "null"),
        ("{{ HOST|base64 }}", "YTxiPiYiYyI="),
        ("{% if NONE %}yes{% else %}no{% endif %}", "no"), ("{% for e in entries %}{{ e.name }};{% endfor %}", "HOST;PATH_;"),
    ])
    func filters(_ template: String, _ result: String) throws {
        try with(template) { file in
            let text = try file.render(Self.configuration())
            #expect(text == result)
        }
    }

    @Test(arguments: ["{{ NONE|required }}", "{% if HOST %}", "{{ HOST|nofilter }}", "{% include \"none.template\" %}"])
    func faultsNameTheFileAndNeverAValue(_ template: String) throws {
        try with(template) { file in
            let fault = #expect(throws: RunError.self) { _ = try file.render(Self.configuration()) }
            let text = fault?.description ?? ""
            #expect(text.contains(file.template) && !text.contains("a<b>"))
        }
    }

    @Test func filesAreReplacedAsAWholeAndOnlyWhereTheyDiffer() throws {
        try with("host {{ HOST|required }}\n") { file in
            let output = try #require(file.output)
            let written = [try file.write(Self.configuration()), try file.write(Self.configuration())]
            #expect(written == [true, false])
            #expect(try FileManager.default.attributesOfItem(atPath: output)[.posixPermissions] as? Int == 0o600)
            // A configuration that can't be rendered leaves the file that works.
            #expect(throws: RunError.self) { try file.write(Self.configuration(host: nil)) }
            #expect(try String(contentsOfFile: output, encoding: .utf8) == "host a<b>&\"c\"\n")
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder).sorted() == ["output", "template"])
        }
    }

    private func with(_ template: String, _ body: (RenderedFile) throws -> Void) throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try template.write(toFile: folder + "/template", atomically: true, encoding: .utf8)
        try body(RenderedFile(template: folder + "/template", output: folder + "/output"))
    }

    private static func configuration(host: String? = "a<b>&\"c\"") -> EnvironmentConfiguration {
        let values = [("HOST", host), ("PATH_", "/usr/bin")]
        return EnvironmentConfiguration(
            WatchSnapshot(
                environment: "acme/web/production",
                environmentId: "1",
                revision: 4,
                cursor: WatchCursor(revision: 4),
                entries: values.compactMap { name, value in
                    value.map { ConfigurationEntry(name: name, value: $0, isSecret: false, version: 1, revision: 1) }
                }
            )
        )
    }
}
